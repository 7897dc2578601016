"""What a faulty program may write: changes to the row groups of a file, and what names each."""

import io

import pyarrow as pa
from PIL import Image

from rl_datagen.data.schema import APPEARANCE_KEY, VERSION_KEY

STEPS = "shards/libero_goal/3/part-00000.parquet"
NAN, INF = float("nan"), float("inf")
UNREADABLE = "Expected all lists to be of size"  # what pyarrow says of a null among such lists


def column(table, name, change):
    """Returns a table with changed values of a column, of the type that it had."""
    values = table[name].to_pylist()
    changed = change(values)
    index = table.schema.get_field_index(name)
    array = pa.array(values if changed is None else changed, table.schema.field(name).type)
    return table.set_column(index, table.schema.field(name), array)


def put(name, value, row=5, group=1):
    """A value at one env step of one episode; inside a list with ``[place, value]``."""

    def change(tables):
        def one(values):
            values[row] = value(values[row]) if callable(value) else value

        tables[group] = column(tables[group], name, one)

    return change


def at(place, value):
    def change(old):
        new = list(old)
        new[place] = value
        return new

    return change


def every(name, function, group=1):
    def change(tables):
        tables[group] = column(tables[group], name, lambda v: [function(each) for each in v])

    return change


def of_table(function, group=1):
    def change(tables):
        tables[group] = function(tables[group])

    return change


def of_all(function):
    def change(tables):
        tables[:] = [function(table) for table in tables]

    return change


def version(text):
    return of_all(
        lambda t: t.replace_schema_metadata({**t.schema.metadata, VERSION_KEY.encode(): text})
    )


def looks(text):
    return of_all(
        lambda t: t.replace_schema_metadata({**t.schema.metadata, APPEARANCE_KEY.encode(): text})
    )


def retype(name, kind):
    def change(table):
        index = table.schema.get_field_index(name)
        return table.set_column(index, name, table[name].cast(kind))

    return of_all(change)


def picture(size=24, kind="PNG", mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, (size, size)).save(buffer, kind)
    return buffer.getvalue()


def reorder(*order):
    return of_table(lambda t: t.take(pa.array(order)))


STEP_FAULTS = {
    "another task": (put("task", "libero_goal/4"), "task"),
    "no task": (put("task", None), "task None"),
    "another suite": (every("suite", lambda _: "libero_10"), "suite 'libero_10'"),
    "no suite": (put("suite", None), "suite None"),
    "another sentence": (every("instruction", lambda _: "do it"), "instruction 'do it'"),
    "a sentence that changes": (put("instruction", ""), "instruction ''"),
    "no sentence": (every("instruction", lambda _: None), "instruction None"),
    "another source": (every("source", lambda _: "human"), "source 'human'"),
    "no source": (put("source", None), "source None"),
    "another episode's step": (put("episode_id", "someone"), "more than one episode"),
    "no id": (every("episode_id", lambda _: None), "no episode_id"),
    "an unknown id": (every("episode_id", lambda _: "someone"), "'someone' has no row"),
    "the neighbour's id": (
        every("episode_id", lambda old: old[:-1] + "0"),
        "is in the dataset twice",
    ),
    "a step twice": (put("step", 4), "does not have the steps 0 to 11"),
    "no step number": (put("step", None), "does not have the steps 0 to 11"),
    "a negative step": (put("step", -1), "does not have the steps 0 to 11"),
    "steps from 1": (every("step", lambda old: old + 1), "does not have the steps 0 to 11"),
    "10 Hz": (every("timestamp", lambda old: 2 * old), "timestamp 0.1 at env step 1, not 0.05"),
    "a timestamp off": (put("timestamp", 0.26), "timestamp 0.26"),
    "no timestamp": (put("timestamp", None), "no timestamp at env step 5"),
    "timestamp nan": (put("timestamp", NAN), "timestamp nan"),
    "timestamps from 1": (every("timestamp", lambda old: old + 1), "timestamp 1 at env step 0"),
    "no state": (put("sim_state", None), "no sim_state at env step 5"),
    "state nan": (put("sim_state", at(3, NAN)), "sim_state nan"),
    "state infinite": (put("sim_state", at(3, INF)), "sim_state inf"),
    "state huge": (put("sim_state", at(3, -1e30)), "sim_state -1e+30"),
    "state's value null": (put("sim_state", at(3, None)), "value of sim_state that is null"),
    "state short": (put("sim_state", lambda old: old[:-1]), "sim_state of width 20"),
    "states short": (every("sim_state", lambda old: old[:-1]), "width 20, its init_state has 21"),
    "states empty": (every("sim_state", lambda old: []), "width 0, its init_state has 21"),
    "state's time": (put("sim_state", at(0, 0.9)), "the time 0.9 s at env step 5"),
    "action -1e30": (put("action", at(0, -1e30)), "action -1e+30"),
    "action 1.01": (put("action", at(6, 1.01)), "action 1.01"),
    "action nan": (put("action", at(6, NAN)), "action nan"),
    "action's value null": (put("action", at(6, None)), "value of action that is null"),
    "no action": (put("action", None), UNREADABLE),
    "proprio nan": (put("proprio", at(0, NAN)), "proprio nan"),
    "proprio far": (put("proprio", at(0, 1e9)), "proprio 1e+09"),
    "no proprio": (put("proprio", None), UNREADABLE),
    "proprio of another moment": (put("proprio", at(0, 0.123)), "ee_pos and proprio that differ"),
    "proprio's turn": (put("proprio", at(3, 3.0)), "ee_quat and proprio that differ"),
    "proprio's fingers": (put("proprio", at(7, 0.5)), "gripper_qpos and proprio that differ"),
    "hand infinite": (put("ee_pos", at(2, INF)), "ee_pos inf"),
    "hand far": (put("ee_pos", at(2, 1e3)), "ee_pos 1000"),
    "hand in mm": (every("ee_pos", lambda old: [1000 * x for x in old]), "ee_pos"),
    "no hand": (put("ee_pos", None), UNREADABLE),
    "quaternion of norm 18": (every("ee_quat", lambda old: [18 * x for x in old]), "ee_quat"),
    "quaternion of norm 0.5": (put("ee_quat", lambda old: [x / 2 for x in old]), "norm 0.5"),
    "quaternion zero": (put("ee_quat", [0.0] * 4), "ee_quat of the norm 0"),
    "quaternion nan": (put("ee_quat", at(0, NAN)), "ee_quat nan"),
    "quaternion w first": (
        every("ee_quat", lambda old: [old[3], *old[:3]]),
        "ee_quat and proprio that differ",
    ),
    "no quaternion": (put("ee_quat", None), UNREADABLE),
    "fingers far": (put("gripper_qpos", at(0, 40.0)), "gripper_qpos 40"),
    "no fingers": (put("gripper_qpos", None), UNREADABLE),
    "joints nan": (put("joint_pos", at(6, NAN)), "joint_pos nan"),
    "joints in degrees": (put("joint_pos", at(6, 90.0)), "joint_pos 90"),
    "no joints": (put("joint_pos", None), UNREADABLE),
    "objects nan": (put("object_state", at(1, NAN)), "object_state nan"),
    "objects huge": (put("object_state", at(1, 1e30)), "object_state 1e+30"),
    "objects fewer": (put("object_state", lambda old: old[:2]), "object_state of width 2"),
    "no objects": (put("object_state", None), "no object_state"),
    "reward 2": (put("reward", 2.0), "reward 2"),
    "reward a half": (put("reward", 0.5), "rewards whose sum is 1.5"),
    "reward nan": (put("reward", NAN), "reward nan"),
    "no reward value": (put("reward", None), "no reward"),
    "two rewards": (put("reward", 1.0), "rewards whose sum is 2, not 1"),
    "a success without reward": (put("reward", 0.0, row=11), "rewards whose sum is 0, not 1"),
    "a failure with reward": (put("reward", 1.0, group=2), "rewards whose sum is 1, not 0"),
    "terminated midway": (put("terminated", True), "goes on: terminated is True at env step 5"),
    "truncated midway": (put("truncated", True), "goes on: truncated is True at env step 5"),
    "not terminated": (put("terminated", False, row=11), "success=True but ends otherwise"),
    "truncated success": (put("truncated", True, row=11), "success=True but ends otherwise"),
    "terminated failure": (put("terminated", True, row=11, group=2), "success=False but ends"),
    "no terminated": (put("terminated", None), "no terminated"),
    "no truncated": (put("truncated", None), "no truncated"),
    "a no-op that moves": (put("is_noop", True), "is_noop True at env step 5, not False"),
    "no is_noop": (put("is_noop", None), "no is_noop"),
    "no decision": (put("decision", None), "no decision at env step 5"),
    "decision back": (put("decision", 0, row=10), "decision 0 at env step 10"),
    "decision negative": (put("decision", -3), "decision -3"),
    "decision ahead": (put("decision", 9, row=11), "decision 9 at env step 11"),
    "decisions from 1": (every("decision", lambda old: old + 1), "decision 1 at env step 0"),
    "a step lost": (reorder(*range(11)), "does not have the steps 0 to 11"),
    "a step repeated": (reorder(*range(12), 11), "does not have the steps 0 to 11"),
    "backwards": (reorder(*range(11, -1, -1)), "does not have the steps 0 to 11"),
    "no episode": (lambda tables: tables.pop(), "has no env steps"),
    "episodes in another order": (lambda tables: tables.reverse(), "is not where"),
    "two in a row group": (
        lambda tables: tables.__setitem__(slice(0, 2), [pa.concat_tables(tables[:2])]),
        "row group 0 has 24 rows",
    ),
    "one in two row groups": (
        lambda tables: tables.__setitem__(slice(0, 1), [tables[0][:6], tables[0][6:]]),
        "does not have the steps 0 to 11",
    ),
    "the future": (version("2"), "schema version 2, not 1"),
    "no version": (of_all(lambda t: t.replace_schema_metadata({})), "schema version none"),
    "a column lost": (of_all(lambda t: t.drop_columns(["ee_quat"])), "columns ee_quat"),
    "a column more": (of_all(lambda t: t.append_column("x", t["step"])), "columns x"),
    "a column's name": (
        of_all(
            lambda t: t.rename_columns(
                [name.replace("ee_", "tool_") for name in t.schema.names]
            ).replace_schema_metadata(t.schema.metadata)
        ),
        "tool_quat",
    ),
    "a column's type": (retype("step", pa.int64()), "columns step"),
    "a column of text": (retype("timestamp", pa.string()), "columns timestamp"),
}

FIXTURE = [0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0]


def row(name, value, row=1):
    return put(name, value, row=row, group=0)


ROW_FAULTS = {
    "no id": (row("episode_id", None), "None is not a safe name"),
    "an escaping id": (row("episode_id", "../../x"), "'../../x' is not a safe name"),
    "an id twice": (row("episode_id", "libero_goal-3-diffusion_rl-00000"), "has 2 rows"),
    "another id": (row("episode_id", "someone"), "'someone' of episodes/"),
    "another task": (row("task", "libero_goal/4"), "is of libero_goal/4"),
    "an unknown task": (row("task", "libero_goal/99"), "is of libero_goal/99"),
    "no task": (row("task", None), "is of None"),
    "another suite": (row("suite", "libero_10"), "suite 'libero_10'"),
    "no suite": (row("suite", None), "suite None"),
    "another sentence": (row("instruction", "do it"), "instruction 'do it'"),
    "no sentence": (row("instruction", None), "instruction None"),
    "an unknown source": (row("source", "alien"), "source 'alien'"),
    "no source": (row("source", None), "source None"),
    "an empty expert": (row("expert", ""), "expert ''"),
    "an expert with line breaks": (row("expert", "x\n## y"), "expert 'x\\n## y'"),
    "seed negative": (row("seed", -1), "seed -1"),
    "no seed": (row("seed", None), "no seed"),
    "init state -1": (row("init_state_index", -1), "init_state_index -1"),
    "init state 50": (row("init_state_index", 50), "init_state_index 50"),
    "no init state": (row("init_state", None), "no init_state"),
    "init state nan": (row("init_state", at(4, NAN)), "init_state nan"),
    "init state huge": (row("init_state", at(4, -1e30)), "init_state -1e+30"),
    "init state's value null": (row("init_state", at(4, None)), "value of init_state that is null"),
    "init state short": (row("init_state", lambda old: old[:-2]), "init_state of width 19"),
    "init state empty": (row("init_state", []), "init_state of width 0"),
    "init state's time": (row("init_state", at(0, 3.0)), "after settling"),
    "init state before time": (row("init_state", at(0, -1.0)), "time is negative"),
    "init state repeated": (
        of_table(
            lambda t: column(
                column(
                    column(t, "seed", lambda v: [v[0]] * 3),
                    "init_state",
                    lambda v: [v[0]] * 3,
                ),
                "fixture_poses",
                lambda v: [v[0]] * 3,
            ),
            group=0,
        ),
        "same init state and seed",
    ),
    "no fixtures": (row("fixture_poses", None), "no fixture_poses"),
    "a fixture null": (row("fixture_poses", at(1, None)), UNREADABLE),
    "a fixture nan": (row("fixture_poses", at(1, [NAN] * 7)), "fixture_poses nan"),
    "a fixture far": (row("fixture_poses", at(1, [99.0, *FIXTURE[1:]])), "fixture_poses 99"),
    "a fixture's quaternion": (row("fixture_poses", at(1, FIXTURE)), "quaternion of the norm 3"),
    "a fixture less": (row("fixture_poses", lambda old: old[:1]), "1 fixture_poses"),
    "no settling": (row("num_settle_steps", None), "no num_settle_steps"),
    "settling negative": (row("num_settle_steps", -1), "num_settle_steps -1"),
    "settling of another length": (row("num_settle_steps", 50), "after settling"),
    "no success": (row("success", None), "no success"),
    "success wrong": (row("success", False), "success=False but ends otherwise"),
    "failure wrong": (row("success", True, row=2), "success=True but ends otherwise"),
    "no length": (row("length", None), "no length"),
    "length 0": (row("length", 0), "length 0"),
    "length negative": (row("length", -12), "length -12"),
    "length 13": (row("length", 13), "does not have the steps 0 to 12"),
    "length huge": (row("length", 2**31 - 1), "length 2.14748e+09"),
    "another shard": (row("shard", STEPS.replace("0.p", "1.p")), "is not 'shards/"),
    "an escaping shard": (row("shard", "../../x"), "shard='../../x' is not"),
    "no shard": (row("shard", None), "shard=None"),
    "row group twice": (row("row_group", 0), "row_group="),
    "row group far": (row("row_group", 7), "row_group="),
    "row group negative": (row("row_group", -1), "row_group="),
    "no row group": (row("row_group", None), "row_group="),
    "no mujoco": (row("mujoco_version", None), "mujoco_version None"),
    "empty robosuite": (row("robosuite_version", ""), "robosuite_version ''"),
    "no libero": (row("libero_version", None), "libero_version None"),
    "the future": (row("schema_version", 2), "schema_version 2"),
    "no version": (row("schema_version", None), "no schema_version"),
    "a row twice": (of_table(lambda t: pa.concat_tables([t, t[1:2]]), group=0), "has 2 rows"),
    "a row gone": (of_table(lambda t: t[:2], group=0), "00002' has no row in"),
    "no rows": (of_table(lambda t: t[:0], group=0), "0 episodes, the manifest says 3"),
    "rows in another order": (of_table(lambda t: t.take([2, 0, 1]), group=0), "row_group="),
    "the future's file": (version("9"), "schema version 9, not 1"),
    "a column lost": (of_all(lambda t: t.drop_columns(["seed"])), "columns seed"),
    "a column's type": (retype("seed", pa.string()), "columns seed"),
}

IMAGE_FAULTS = {
    "null": (put("agentview", None), "agentview at env step 5 that is not an image"),
    "all null": (every("wrist", lambda _: None), "wrist at env step 0 that is not an image"),
    "empty": (put("wrist", b""), "wrist at env step 5 that is not an image"),
    "text": (put("wrist", b"an image"), "not a PNG or JPEG"),
    "GIF": (put("wrist", picture(kind="GIF")), "not a PNG or JPEG"),
    "cut off": (put("wrist", lambda old: old[:-300]), "cannot be decoded"),
    "header alone": (put("wrist", lambda old: old[:40]), "cannot be decoded"),
    "damaged": (put("wrist", lambda old: old[:200] + b"xxxx" + old[204:]), "cannot be decoded"),
    "of another size": (put("wrist", picture(size=32)), "32 x 32 pixels, those before it PNG"),
    "an episode of another size": (every("wrist", lambda _: picture(size=32)), "32 x 32 pixels"),
    "too large": (put("wrist", picture(size=1500)), "1500 x 1500 pixels"),
    "too small": (every("wrist", lambda _: picture(size=2)), "2 x 2 pixels"),
    "grey": (put("wrist", picture(mode="L")), "mode L, not RGB"),
    "transparent": (put("wrist", picture(mode="RGBA")), "mode RGBA, not RGB"),
    "of another kind": (put("wrist", picture(kind="JPEG")), "is JPEG of 24 x 24"),
    "no step": (put("step", None), "images of each of its steps"),
    "a step twice": (put("step", 4), "images of each of its steps"),
    "a step lost": (reorder(*range(11)), "images of each of its steps"),
    "steps in another order": (reorder(*range(11, -1, -1)), "images of each of its steps"),
    "no id": (every("episode_id", lambda _: None), "no episode_id"),
    "an unknown id": (every("episode_id", lambda _: "someone"), "'someone' is not in"),
    "an id that changes": (put("episode_id", "someone"), "more than one episode"),
    "an episode twice": (lambda tables: tables.append(tables[0]), "has its images twice"),
    "none at all": (lambda tables: tables.__setitem__(slice(None), [tables[0][:0]]), "no "),
    "the future": (version("2"), "schema version 2, not 1"),
    "of another appearance": (looks("mujoco"), "appearance 'mujoco', the manifest says 'original'"),
    "of an unknown appearance": (looks("../x"), "appearance '../x', the manifest says"),
    "a column lost": (of_all(lambda t: t.drop_columns(["wrist"])), "columns wrist"),
}
