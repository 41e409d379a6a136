"""OpenTelemetry, by its API alone: the SDK is the user's. Loaded when a recipe or an observer is made."""
