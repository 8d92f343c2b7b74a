"""People review pairs on a page served to this machine alone; their labels, how they agree, and how many are needed."""
