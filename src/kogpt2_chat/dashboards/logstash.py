"""A pipeline of Logstash 7.17, as an alternative to the indexer, with the same indices.

Logstash cannot mask personal data as the indexer does. So its pipeline leaves out every text, and everything that a
client can put text into; players and sessions become digests. ``docs/dashboards.md`` lists what its documents lack.
"""

import json
from importlib.resources import files
from typing import Any, Final, get_args

from kogpt2_chat.domain.chat.bots import BOT_IDS
from kogpt2_chat.domain.chat.dead_letters import REASONS
from kogpt2_chat.domain.chat.topics import DEAD_LETTER_TOPIC, FEEDBACK_TOPIC, TURN_TOPIC
from kogpt2_chat.domain.chat.turns import FeedbackKind
from kogpt2_chat.domain.search.documents import MODEL
from kogpt2_chat.domain.search.fields import (
    DEAD_LETTER_INDEX,
    FEEDBACK_INDEX,
    FIELDS_BY_INDEX,
    TURN_INDEX,
    IndexName,
)

NOT_RUN: Final = "Not run here: this pipeline never ran in Logstash. 여기에서 실행해 보지 않았습니다."
LEFT_OUT: Final[dict[IndexName, tuple[str, ...]]] = {
    TURN_INDEX: (
        "question_id", "sender", "session_id", "text", "answer", "answer_token_ids", "decoding", "extra", "sent_at",
        "pii_hits", "question_key", "answer_key", "ingested_at",
    ),
    FEEDBACK_INDEX: ("feedback_id", "authenticated"),
    DEAD_LETTER_INDEX: (),
}  # fmt: skip
"""Fields that the pipeline leaves out: texts, what clients write freely, and what only the lake knows."""
_TOPIC_BY_INDEX: Final = {
    TURN_INDEX: TURN_TOPIC,
    FEEDBACK_INDEX: FEEDBACK_TOPIC,
    DEAD_LETTER_INDEX: DEAD_LETTER_TOPIC,
}
_SCRIPT_BY_INDEX: Final = {TURN_INDEX: "turn.rb", FEEDBACK_INDEX: "feedback.rb", DEAD_LETTER_INDEX: "dead_letter.rb"}
_HOSTS: Final = "${KOGPT2_ELASTIC__URL:http://elasticsearch:9200}"
_FOLDER: Final = "/usr/share/logstash/kogpt2"
_INPUT: Final = """\
  kafka {{
    bootstrap_servers => "${{KOGPT2_KAFKA__BOOTSTRAP:kafka:9092}}"
    topics => ["{topic}"]
    group_id => "kogpt2-logstash-{name}"
    client_id => "kogpt2-logstash-{name}"
    isolation_level => "read_committed"
    auto_offset_reset => "earliest"
    decorate_events => "extended"
    add_field => {{ "[@metadata][index]" => "{index}" }}
  }}"""
_FILTER: Final = """\
  if [@metadata][index] == "{index}" {{
    ruby {{
      path => "{folder}/scripts/{script}"
      script_params => {{ "key" => "${{LOGSTASH_KEY:}}" }}
    }}{more}
  }}"""
_LOOKUP: Final = """
    elasticsearch {{
      hosts => ["{hosts}"]
      index => "{index}"
      query => 'turn_id:"%{{[turn_id]}}"'
      enable_sort => false
      fields => {{ "bot" => "bot" "model_version" => "model_version" }}
    }}"""
_LAST_FILTER: Final = """\
  # A record that its script could not make a document of goes no further: it may hold a text.
  if ![@metadata][id] { drop {} }
  mutate { remove_field => ["@timestamp", "@version", "message", "event", "tags"] }"""
_OUTPUT: Final = """\
  if [@metadata][index] == "{index}" {{
    elasticsearch {{
      hosts => ["{hosts}"]
      index => "{index}"
      document_id => "%{{[@metadata][id]}}"
      action => "index"
      ilm_enabled => false
      template_api => "legacy"
      template_name => "{index}"
      template => "{folder}/templates/{index}.json"
      template_overwrite => true
    }}
  }}"""


def logstash_files() -> dict[str, str]:
    """Return the files of the pipeline by their names below ``docker/logstash``."""
    return {
        "pipeline/kogpt2.conf": pipeline(),
        **{f"scripts/{name}": script(name) for name in _SCRIPT_BY_INDEX.values()},
        **{f"templates/{index}.json": template(index) for index in _TOPIC_BY_INDEX},
    }


def pipeline() -> str:
    """Return the pipeline: it reads three topics, and writes each to its index, by the document's id."""
    inputs = [
        _INPUT.format(topic=topic, index=index, name=index.removeprefix("kogpt2-"))
        for index, topic in _TOPIC_BY_INDEX.items()
    ]
    lookup = _LOOKUP.format(hosts=_HOSTS, index=TURN_INDEX)
    filters = [
        _FILTER.format(index=index, folder=_FOLDER, script=name, more=lookup if index == FEEDBACK_INDEX else "")
        for index, name in _SCRIPT_BY_INDEX.items()
    ]
    filters.append(_LAST_FILTER)
    outputs = [_OUTPUT.format(index=index, hosts=_HOSTS, folder=_FOLDER) for index in _TOPIC_BY_INDEX]
    sections = {"input": inputs, "filter": filters, "output": outputs}
    blocks = [f"{name} {{\n" + "\n".join(parts) + "\n}\n" for name, parts in sections.items()]
    return f"# {NOT_RUN}\n# Generated from kogpt2_chat/dashboards; do not edit.\n" + "".join(blocks)


def script(name: str) -> str:
    """Return a Ruby script of the pipeline, with the names that the code knows."""
    texts = {
        "@NOT_RUN@": NOT_RUN,
        "@BOTS@": json.dumps(BOT_IDS),
        "@KINDS@": json.dumps(get_args(FeedbackKind)),
        "@REASONS@": json.dumps(REASONS),
        "@MODEL@": MODEL,
    }
    folder = files("kogpt2_chat.dashboards") / "logstash_scripts"
    text = "".join((folder / part).read_text("utf-8") for part in ("common.rb", name))
    for mark, value in texts.items():
        text = text.replace(mark, value)
    return text


def template(index: IndexName) -> str:
    """Return the index template, with the fields of the platform's own index."""
    mappings: dict[str, Any] = {
        "_meta": {"description": NOT_RUN},
        "dynamic": "strict",
        "properties": dict(FIELDS_BY_INDEX[index]),
    }
    settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
    body = {"mappings": mappings, "index_patterns": [index], "settings": settings}
    first, _, rest = json.dumps(body, ensure_ascii=False, indent=2).partition('"dynamic"')
    return " ".join(first.split()) + f'\n    "dynamic"{rest}\n'
