"""A ``Progress`` that keeps what it is told."""


class Told:
    def __init__(self):
        self.stages, self.totals, self.done, self.details = [], [], 0, []

    def start(self, stage, total):
        self.stages.append(stage)
        self.totals.append(total)
        self.done = 0

    def advance(self, units=1, detail=""):
        self.done += units
        self.details.append(detail)

    def iteration(self, row):
        self.done = row["iteration"]

    def finish(self, stage, detail, seconds):
        self.details.append(detail)
