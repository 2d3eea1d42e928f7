"""Workspaces: the documents that say which there are, and the contexts of their triggers."""

import copy
import time
import uuid
from typing import Callable

from ..core.run.keys import HOMES, WORKSPACES
from ..core.store import Facts, encode
from ..core.workspace.keys import Document, WorkspaceKeys, last_of


def create(facts: Facts, name: str, context: Document) -> tuple[bool, Document]:
    """
    Writes that there is a workspace.

    :return: whether it is new, and its document
    """
    document = {'version': 1, 'name': name, 'incarnation': uuid.uuid4().hex[:8], 'context': context, 'time': time.time()}
    return facts.create(_key(name), document)


def find(facts: Facts, name: str) -> Document | None:
    """The document of a workspace."""
    return facts.read(_key(name))


def names(facts: Facts) -> list[str]:
    """Of all workspaces."""
    return [key.split('/')[1].removesuffix('.json') for key in facts.list(f'{WORKSPACES}/')]


def delete(facts: Facts, document: Document) -> None:
    """Everything of a workspace leaves the bucket. Its name may be used again."""
    facts.store.delete(facts.list(f'{home_of(document)}/'))
    if at(facts, home_of(document)):
        # The last one, so that a deletion that was interrupted can be done again
        facts.store.delete([_key(document['name'])])


def homes(facts: Facts, name: str) -> list[str]:
    """Prefixes of the keys of all workspaces that have, or had, a name."""
    return sorted({'/'.join(key.split('/')[:2]) for key in facts.list(f'{HOMES}/{name}@')})


def delete_damaged(facts: Facts, name: str) -> None:
    """Everything of a workspace leaves the bucket whose document cannot be read."""
    facts.store.delete(facts.list(f'{HOMES}/{name}@'))
    facts.store.delete([_key(name)])


def home_of(document: Document) -> str:
    """The prefix of all keys of a workspace."""
    return f'{HOMES}/{document["name"]}@{document["incarnation"]}'


def at(facts: Facts, home: str) -> Document | None:
    """The document of the workspace whose home this is. None if it was deleted, whoever has its name now."""
    document = find(facts, home.split('/')[1].rpartition('@')[0])
    return document if document and home_of(document) == home else None


def global_context(facts: Facts, home: str) -> Document:
    """The context of the workspace whose home this is."""
    found: Document = (at(facts, home) or {'context': {}})['context']
    return found


def _key(name: str) -> str:
    return f'{WORKSPACES}/{name}.json'


# Contexts: a series of versions, each written once. Version 0 is what the trigger was added with


def context_of(facts: Facts, home: str, trigger: Document) -> tuple[int, Document]:
    """The newest version of a trigger's context, and its number."""
    listed = facts.list(WorkspaceKeys(home).contexts(trigger['id']))
    if not listed:
        return 0, trigger['context']
    newest = facts.read(listed[-1]) or {'context': trigger['context']}
    return int(last_of(listed[-1])), newest['context']


def change_context(
    facts: Facts, home: str, trigger: Document, since: int, by: str, make: Callable[[Document], Document]
) -> Document:
    """
    Changes a context, once for whoever ``by`` names, however often it is tried.

    :param since: number of a version that was there before ``by`` had changed anything
    :param make: given a context, returns what is written: the changed one as 'context', as 'asks' whether it is
        written although nothing was changed, and anything else. It is asked again if somebody else was faster
    :return: what was written
    """
    keys, number, current = WorkspaceKeys(home), since, trigger['context']
    if since:
        current = (facts.read(keys.context(trigger['id'], since)) or {})['context']
    while True:
        number += 1
        key = keys.context(trigger['id'], number)
        there = facts.read(key)
        if there is None:
            made = make(copy.deepcopy(current))
            if encode(made['context']) == encode(current) and not made['asks']:
                # There is nothing that could get lost. As JSON: 1 and True are equal, and not the same
                return made
            there = facts.create(key, {**made, 'by': by})[1]
        if there['by'] == by:
            return there
        current = there['context']
