"""The commands, a module a topic; each registers with the app in `shared`."""
