# Runs a script of the Logstash pipeline on records from stdin, one JSON object a line, as Logstash's ruby filter does.
require "json"

class Event
  def initialize(fields)
    @fields = fields
  end

  def get(path)
    path.scan(/[^\[\]]+/).reduce(@fields) { |found, name| found.is_a?(Hash) ? found[name] : nil }
  end

  def set(path, value)
    *parents, name = path.scan(/[^\[\]]+/)
    parents.reduce(@fields) { |found, parent| found[parent] ||= {} }[name] = value
  end

  def remove(name)
    @fields.delete(name)
  end

  def to_hash
    @fields.reject { |name, _| name == "@metadata" }
  end

  def all
    @fields
  end
end

class Context
  def initialize(path)
    instance_eval(File.read(path, encoding: "UTF-8"), path, 1)
  end
end

context = Context.new(ARGV[0])
context.register("key" => ARGV[1])
STDIN.set_encoding("UTF-8")
STDIN.each_line do |line|
  puts JSON.generate(context.filter(Event.new(JSON.parse(line))).map(&:all))
end
