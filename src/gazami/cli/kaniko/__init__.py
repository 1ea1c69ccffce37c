"""The names and rules that existing jobs call: kaniko's executor and warmer, the GitHub action."""
