"""Ray Train around the trainings: all of Ray that training sees."""
