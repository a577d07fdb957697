"""Task groups of dag-factory: the ids that they give their tasks, and the order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dagforge.errors import did_you_mean
from dagforge.frozen import frozen
from dagforge.importing.notes import Notes
from dagforge.reading.parts import Part


@frozen
class Group:
    """A task group.

    Attributes:
        id: with those of the groups around it.
        prefixes: its tasks' ids begin with its own.
        around: names of the groups that it lies in, from the outermost.
    """

    id: str
    prefixes: bool
    around: tuple[str, ...]
    config: Part

    def child_id(self, name: str) -> str:
        """Return the id of what lies in it."""
        return f"{self.id}.{name}" if self.prefixes else name


@dataclass(slots=True)
class Groups:
    """The tasks of a DAG, the groups that they lie in, and what runs before what.

    Attributes:
        group_of: the name of each task's group, None outside any.
    """

    by_name: dict[str, Group]
    group_of: dict[str, str | None]
    _before: dict[str, dict[str, None]] = field(default_factory=dict)

    def id_of(self, task: str) -> str:
        """Return the task_id that Airflow gives a task."""
        group = self.group_of[task]
        return task if group is None else self.by_name[group].child_id(task)

    def after(self, task: str) -> list[str]:
        """Return the ids of the tasks that run before a task."""
        return [self.id_of(each) for each in self._before.get(task, ())]

    def defaults_of(self, task: str) -> Iterator[Part]:
        """Yield the default_args of the groups that a task lies in, from the outermost."""
        group = self.group_of[task]
        names = () if group is None else (*self.by_name[group].around, group)
        for name in names:
            defaults = self.by_name[name].config.get("default_args")
            if defaults is not None:
                yield defaults

    def tasks_in(self, group: str) -> list[str]:
        """Return the tasks of a group and of those in it."""
        return [
            task
            for task, own in self.group_of.items()
            if own is not None and group in (own, *self.by_name[own].around)
        ]

    def _first(self, name: str) -> list[str]:
        """Return a task itself, or the tasks of a group that no task of it runs before."""
        if name not in self.by_name:
            return [name]
        tasks = self.tasks_in(name)
        return [task for task in tasks if not set(self._before.get(task, ())) & set(tasks)]

    def _last(self, name: str) -> list[str]:
        """Return a task itself, or the tasks of a group that no task of it runs after."""
        if name not in self.by_name:
            return [name]
        tasks = self.tasks_in(name)
        followed = {earlier for task in tasks for earlier in self._before.get(task, ())}
        return [task for task in tasks if task not in followed]

    def put_after(self, name: str, earlier: str) -> None:
        """Let a task or a group run after another one.

        Only what was put in order before counts for which tasks of a group are its first and its
        last: Airflow looks when the order is said, and dag-factory says it in the file's order.
        """
        last = self._last(earlier)
        for task in self._first(name):
            self._before.setdefault(task, {}).update(dict.fromkeys(last))


def read_groups(tasks: Mapping[str, Part], groups: Mapping[str, Part], notes: Notes) -> Groups:
    """Return what the groups of a DAG make of its tasks.

    Args:
        tasks: by name, mappings all.
        groups: by name, mappings all.
        notes: takes what is wrong.
    """
    by_name: dict[str, Group] = {}
    for name in groups:
        _add_group(name, groups, by_name, notes)
    read = Groups(by_name, {task: _group_of(part, by_name, notes) for task, part in tasks.items()})
    known = {**tasks, **{name: groups[name] for name in by_name}}
    for name in set(tasks) & set(by_name):
        notes.refuse(f"a task and a task group are both called '{name}'", tasks[name].place)
    for name, part in known.items():
        dependencies = part.get("dependencies")
        if dependencies is None:
            continue
        if not isinstance(dependencies.value, tuple):
            notes.refuse("'dependencies' must be a list", dependencies.place)
        for each in dependencies:
            if not isinstance(each.value, str) or each.value not in known:
                fix = did_you_mean(str(each.plain), known)
                notes.refuse(f"there is no task or group '{each.plain}'", each.at, fix)
            else:
                read.put_after(name, each.value)
    return read


def _group_of(task: Part, by_name: Mapping[str, Group], notes: Notes) -> str | None:
    named = task.get("task_group_name")
    # Without any group dag-factory does not look at the name.
    if named is None or not by_name:
        return None
    if not isinstance(named.value, str) or named.value not in by_name:
        fix = did_you_mean(str(named.plain), by_name)
        notes.refuse(f"there is no task group '{named.plain}'", named.at, fix)
        return None
    return named.value


def _add_group(
    name: str, groups: Mapping[str, Part], by_name: dict[str, Group], notes: Notes
) -> None:
    """Add a group, and before it those that it lies in."""
    chain = [name]
    while (parent := groups[chain[-1]].get("parent_group_name")) is not None:
        around = parent.value
        if not isinstance(around, str) or around not in groups:
            fix = did_you_mean(str(parent.plain), groups)
            notes.refuse(f"there is no task group '{parent.plain}'", parent.at, fix)
            break
        if around in chain:
            notes.refuse(f"the task group '{name}' lies in itself", parent.at)
            break
        chain.append(around)
    for each in reversed(chain):
        if each in by_name:
            continue
        config = groups[each]
        parent = config.get("parent_group_name")
        outer = by_name.get(parent.value) if parent and isinstance(parent.value, str) else None
        prefix = config.get("prefix_group_id")
        group_id = each
        inside: tuple[str, ...] = ()
        if outer is not None:
            group_id = outer.child_id(each)
            inside = (*outer.around, str(parent and parent.value))
        by_name[each] = Group(group_id, prefix is None or prefix.value is True, inside, config)
