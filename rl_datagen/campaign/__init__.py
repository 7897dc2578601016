"""All selected experts under Ray Tune: trials, their state files, the board."""
