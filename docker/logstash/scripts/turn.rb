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

COPIED_NUMBERS = %w[model_version epoch prompt_tokens latency_ms kafka_ms queue_ms decode_ms unknown_tokens v]
COPIED_FLAGS = %w[consent_store consent_train authenticated minor]
COPIED_NAMES = %w[bot source worker fallback]

# Leaves out turns that may not be stored, that may be about a crisis, and that are not of this release's form.
def document_of(event)
  turn = record_of(event)
  return unless turn["v"] == 1 && BOTS.include?(turn["bot"]) && TURN_ID.match?(turn["turn_id"].to_s)
  return unless turn["consent_store"] == true && turn["fallback"] != "safety"
  [turn["turn_id"], copied(turn).merge(times(turn, event)).merge(derived(turn)).merge(position(event))]
end

def copied(turn)
  found = { "turn_id" => turn["turn_id"], "player_id" => digest_of(turn["player_id"]) }
  COPIED_NUMBERS.each { |name| found[name] = number(turn[name]) }
  COPIED_FLAGS.each { |name| found[name] = turn[name] == true }
  COPIED_NAMES.each { |name| found[name] = turn[name][0, 64] if turn[name].is_a?(String) }
  found
end

def times(turn, event)
  logged = broker_time(event)
  received = time_of(turn["received_at"]) || logged
  answered = time_of(turn["answered_at"]) || received
  {
    "received_at" => written(received),
    "answered_at" => written(answered),
    "logged_at" => written(logged),
    "return_ms" => [0, ((logged - answered) * 1000).round(half: :even)].max,
    "date" => (received.utc + SEOUL_S).strftime("%Y-%m-%d"),
  }
end

def derived(turn)
  decoding = turn["decoding"].is_a?(Hash) ? turn["decoding"] : {}
  nearest = decoding["nearest"].is_a?(Hash) ? decoding["nearest"] : {}
  was_cut = turn["fallback"].nil? && decoding["stop_reason"] == "length"
  {
    "outcome" => turn["fallback"] || "model",
    "conversation" => digest_of(turn["session_id"] || turn["player_id"]),
    "question_chars" => turn["text"].to_s.length,
    "answer_chars" => turn["answer"].to_s.length,
    "answer_tokens" => turn["answer_token_ids"].is_a?(Array) ? turn["answer_token_ids"].length : 0,
    "nearest_likeness" => nearest["likeness"].is_a?(Float) ? nearest["likeness"] : nil,
    "nearest_source" => nearest["source"].is_a?(String) ? nearest["source"][0, 64] : nil,
    "faults" => was_cut ? ["cut"] : nil,
  }
end

def position(event)
  {
    "kafka_partition" => event.get("[@metadata][kafka][partition]").to_i,
    "kafka_offset" => event.get("[@metadata][kafka][offset]").to_i,
  }
end
