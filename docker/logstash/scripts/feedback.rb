# Not run here: this pipeline never ran in Logstash. 여기에서 실행해 보지 않았습니다.
# Generated from kogpt2_chat/dashboards; do not edit.
require "json"
require "openssl"
require "time"

BOTS = ["ChatbotA", "ChatbotB", "ChatbotC"]
TURN_ID = /\Abot_question-([0-9]{1,9})-([0-9]{1,18})\z/
SEOUL_S = 9 * 3600

def register(params)
  @key = params["key"].to_s
  raise "LOGSTASH_KEY is empty: players would be stored by name" if @key.empty?
end

# Nothing of the record itself reaches the event: only what `document_of` returns.
def filter(event)
  id, document = document_of(event)
  return [] if document.nil?
  event.to_hash.keys.each { |name| event.remove(name) }
  document.each { |name, value| event.set(name, value) unless value.nil? }
  event.set("[@metadata][id]", id)
  [event]
rescue StandardError
  [] # Logstash would pass the record on as it is
end

def record_of(event)
  found = JSON.parse(event.get("message").to_s)
  found.is_a?(Hash) ? found : {}
rescue JSON::ParserError
  {}
end

def broker_time(event)
  Time.at(event.get("[@metadata][kafka][timestamp]").to_i / 1000.0)
end

def time_of(text)
  Time.iso8601(text.to_s)
rescue ArgumentError
  nil
end

def written(time)
  time && time.utc.iso8601(6)
end

# The same player has the same digest, and nobody without the key finds the player to a digest.
def digest_of(player)
  OpenSSL::HMAC.hexdigest("SHA256", @key, player.to_s)[0, 32]
end

def number(value)
  value.is_a?(Integer) ? value : nil
end

KINDS = ["up", "down", "correction", "report"]

# The bot and its version are those of the turn, which the pipeline looks up afterwards.
def document_of(event)
  feedback = record_of(event)
  turn_id = feedback["turn_id"].to_s
  return unless feedback["v"] == 1 && KINDS.include?(feedback["kind"]) && TURN_ID.match?(turn_id)
  document = { "turn_id" => turn_id, "kind" => feedback["kind"], "received_at" => written(broker_time(event)) }
  # The last thumb of a player on a turn counts, and the last feedback of each other kind.
  kind = %w[up down].include?(feedback["kind"]) ? "thumb" : feedback["kind"]
  ["#{turn_id}:#{digest_of("#{kind} #{feedback["player_id"]}")}", document]
end
