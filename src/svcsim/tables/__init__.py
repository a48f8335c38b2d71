"""Rules: iptables chains, their matches and targets, and IP sets."""
