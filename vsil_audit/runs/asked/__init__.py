"""From observations of models to what a report says of them: rates, judge checks, agreement."""
