"""How news models are trained: batches of clicks with what was shown beside them, and the steps on them."""
