"""models: how likely is serious harm recorded, how sure are we, and does it beat the rules in use today?"""
