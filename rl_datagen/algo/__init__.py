"""Learning: behaviour cloning, and denoising-step PPO as an RLlib algorithm."""
