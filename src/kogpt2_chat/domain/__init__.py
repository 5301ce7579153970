"""Pure decisions: functions from values to values, using only the standard library and no input or output."""
