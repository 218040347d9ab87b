"""The shapes of the JSON answers, a module a topic, with examples for the OpenAPI document."""
