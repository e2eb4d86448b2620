"""What builds and checks the project; never part of the wheel."""
