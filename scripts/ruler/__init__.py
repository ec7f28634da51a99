"""The verdicts of AWS's Event Ruler on event patterns."""
