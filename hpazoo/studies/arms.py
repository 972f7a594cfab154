"""What a study compares: every member alone and the blends it names, with and without corrections.

An arm is called by its member or blend, and by its correction if it has one: `gap-mask`,
`gap-mask, negative`.
"""

from __future__ import annotations

from hpazoo.spec import Spec
from hpazoo.spec.arm_rules import arm_name
from hpazoo.spec.shapes import Json
from hpazoo.spec.study import Study, blend_spec


def arms_of(study: Study, spec: Spec) -> dict[str, Spec]:
    """Spec of each arm that this variant of the studied spec can make, by name.

    A variant may have other members: arms that need one it lacks are not there.
    """
    alone = {member.name: (member.name,) for member in spec.members if member.has_classes}
    blends = {name: one for name, one in study.blends.items() if alone.keys() >= set(one)}
    corrections: dict[str, list[Json]] = {"": [], **study.corrections}
    found = {}
    for name, members in (alone | blends).items():
        for correction, steps in corrections.items():
            arm = blend_spec(spec, members, steps)
            if arm is not None:
                found[arm_name(name, correction)] = arm
    return found
