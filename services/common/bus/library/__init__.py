"""The voices that tenants keep in NATS; `voices.VoiceLibrary` is the way in."""
