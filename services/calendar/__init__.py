"""Calendar (节假日安排): the working days that deadlines are counted by, as they become known."""
