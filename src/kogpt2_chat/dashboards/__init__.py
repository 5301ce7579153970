"""The dashboards of operators: what they show, as data, and how Elasticsearch and Kibana are asked for it.

``panels.yaml`` is the one definition. No module here does any I/O of its own.
"""
