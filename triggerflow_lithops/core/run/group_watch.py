"""
Which calls have ended, and how one waits for many of them: one incomplete group is watched at
a time, and whoever completes it moves the watch on. A fan-in of N calls costs O(N) small
listings altogether.
"""

import hashlib
from typing import Any, Callable, Iterable

from ..store import Facts
from .keys import Call, Group, ended_calls, group_of, group_prefix, job_prefix
from .trigger import Members


class Watching:
    """:param facts: the bucket"""

    def __init__(self, facts: Facts):
        self.facts = facts

    def ended(self, session: str, members: Members) -> set[Call]:
        """Those of ``members`` whose events are there. One listing of each job, or group."""
        ended: set[Call] = set()
        for job in members.ranges:
            groups = {group_of(call) for call in Members({job: members.ranges[job]})}
            prefix = group_prefix(session, groups.pop()) if len(groups) == 1 else job_prefix(session, job)
            ended |= {call for call in ended_calls(job, self.facts.list(prefix)) if call in members}
        return ended

    def _watch_one_group(
        self, session: str, members: Members, who: str, watch: Callable[[Group], None], since: Group | None = None
    ) -> bool:
        """
        Watches one incomplete group of ``members`` after the other.

        :param who: watches, which decides on their order
        :param since: a group that was watched, and is complete: so are those before it
        :return: whether all of them have ended
        """
        groups = _in_order(who, members.groups())
        ended: dict[str, set[Call]] = {}
        first = since is None
        for group in groups if since is None else groups[groups.index(since) + 1 :]:
            wanted = members.in_group(group)
            if not first:
                # A job is listed when it is its turn: of many, most are not looked at
                if group.job not in ended:
                    ended[group.job] = self.ended(session, Members({group.job: members.ranges[group.job]}))
                if wanted <= ended[group.job]:
                    continue
            first = False
            watch(group)
            if not wanted <= ended_calls(group.job, self.facts.list(group_prefix(session, group))):
                return False
            # Others may have ended meanwhile, too
            ended.pop(group.job, None)
        return True


def _in_order(who: str, groups: Iterable[Group]) -> list[Group]:
    """``groups`` in an order that differs from one who watches to another, and stays the same."""

    def order(group: Group) -> Any:
        return hashlib.blake2b(f'{who}/{group.job}/{group.number}'.encode(), digest_size=8).digest()

    return sorted(groups, key=order)
