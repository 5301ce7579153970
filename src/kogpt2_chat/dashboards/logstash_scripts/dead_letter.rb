
REASONS = @REASONS@

def document_of(event)
  headers = event.get("[@metadata][kafka][headers]") || {}
  question = TURN_ID.match(headers["turn_id"].to_s)
  named = record_of(event)["bot"]
  document = {
    "reason" => REASONS.include?(headers["reason"]) ? headers["reason"] : "other",
    "bot" => BOTS.include?(named) ? named : nil,
    "size" => event.get("message").to_s.bytesize,
    "question_partition" => question && question[1].to_i,
    "question_offset" => question && question[2].to_i,
    "at" => written(broker_time(event)),
  }
  ["#{event.get("[@metadata][kafka][partition]")}-#{event.get("[@metadata][kafka][offset]")}", document]
end
