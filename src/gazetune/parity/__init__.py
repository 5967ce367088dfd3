"""What tuning costs: classification before and after."""
