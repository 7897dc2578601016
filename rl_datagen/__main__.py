"""``python -m rl_datagen`` is the ``rl-datagen`` command."""

from rl_datagen.cli import main

main()
