"""What is done with the draws of a result: measure, detect, check, repeat under doubt."""
