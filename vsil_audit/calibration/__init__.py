"""How far judges can be believed, by people's labels: what to label, what the labels say, the rates they correct."""
