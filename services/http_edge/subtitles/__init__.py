"""Subtitles: sentences and words with their times, divided into cues, in the formats of players."""
