
KINDS = @KINDS@

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
