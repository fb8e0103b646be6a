"""What the worlds can draw: painters of people, animals and things, and the table of kinds."""
