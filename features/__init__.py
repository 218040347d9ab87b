"""What did the force know about this person at T? Records in, histories, labels and cohorts out."""
