"""From the answers of evaluated models to what a report says of them: rates, paired tests, balance, gains."""
