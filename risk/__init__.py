"""Who is on the list, why, and what the records say now: scores to sentences, lists, sheets and networks."""
