"""A ``Progress`` that keeps what it is told."""


class Told:
    def __init__(self):
        self.stages, self.totals, self.done, self.details = [], [], 0, []
        self.units, self.said = [], []

    def start(self, stage, total=None, unit=""):
        self.stages.append(stage)
        self.totals.append(total)
        self.units.append(unit)
        self.done = 0

    def advance(self, units=1, detail=""):
        self.done += units
        self.details.append(detail)

    def say(self, activity):
        self.said.append(activity)

    def iteration(self, row):
        self.done = row["iteration"]

    def finish(self, stage, detail, seconds):
        self.details.append(detail)
