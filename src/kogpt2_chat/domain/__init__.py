"""Pure decisions: functions from values to values, with the standard library only and without input or output."""
