import mujoco
import numpy as np

from rl_datagen.sim.dynamics import kinematics
from rl_datagen.sim.model_view import ModelView

XML = """<mujoco><worldbody>
  <body name="box" pos="1 2 3"><geom size=".1"/></body>
  <body><joint/><geom size=".1"/></body>
</worldbody></mujoco>"""


def test_moves_a_body_without_touching_the_model():
    model = mujoco.MjModel.from_xml_string(XML)
    data = mujoco.MjData(model)
    view = ModelView(model)
    view.place(np.array([1]), np.array([[4.0, 5.0, 6.0, 0.0, 1.0, 0.0, 0.0]]))
    kinematics(view.address, data._address)
    np.testing.assert_array_equal(data.body("box").xpos, [4, 5, 6])
    np.testing.assert_array_equal(data.body("box").xquat, [0, 1, 0, 0])
    mujoco.mj_kinematics(model, data)
    np.testing.assert_array_equal(data.body("box").xpos, [1, 2, 3])


def test_two_views_are_independent():
    model = mujoco.MjModel.from_xml_string(XML)
    data = mujoco.MjData(model)
    first, second = ModelView(model), ModelView(model)
    first.place(np.array([1]), np.array([[9.0, 0, 0, 1, 0, 0, 0]]))
    kinematics(second.address, data._address)
    np.testing.assert_array_equal(data.body("box").xpos, [1, 2, 3])
