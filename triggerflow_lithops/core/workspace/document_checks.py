"""What each kind of document of a workspace looks like, as far as anybody relies on it: as those of a run."""

from typing import Any

from .. import condition as conditions
from .. import event
from ..damage import Unfit
from ..run.document_checks import MOST_MEMBERS, code, incarnation, policy, version
from ..shape import (
    Check,
    anything,
    base64,
    between,
    by,
    each,
    fields,
    flag,
    key,
    mapping,
    moment,
    number,
    pattern,
    sequence,
    text,
)
from ..wording import outline

_workspace = fields({'version': version, 'name': text, 'incarnation': incarnation, 'context': mapping, 'time': moment})
_trigger = fields(
    {
        'id': text,
        'activation_events': each(fields({'type': text, 'subject': text})),
        'condition': mapping,
        'action': fields({'name': text}, {'function': text}),
        'context': mapping,
        'transient': flag,
        'retry': policy,
        'time': number,
        'orchestrator': code,
    }
)
_firing = fields({'events': lambda value: None if value is None else each(key)(value)})
_look = fields({'missing': between(1, MOST_MEMBERS), 'counts': by(pattern('a cell', r'[0-9a-f]{0,2}'), between(0, MOST_MEMBERS))})
_context = fields({'context': mapping, 'by': text, 'said': base64, 'asks': flag})
_acted = fields({'number': text})
_end = fields({'data': sequence, 'time': moment})


def _of_its_id(where: str, document: Any) -> None:
    _trigger(document)
    trigger_id = where.split('/')[3]
    if document['id'] != trigger_id:
        raise Unfit(f'trigger {outline(document["id"])}', f'trigger {trigger_id}').inside('id')
    try:
        conditions.validated(document['condition'])
    except (ValueError, TypeError):
        raise Unfit('something else', 'a condition').inside('condition') from None
    if document['condition']['name'] == 'NEVER' and 'seconds' not in document['condition']:
        raise Unfit('NEVER', 'a condition that can be').inside('condition')


def _event(document: Any) -> None:
    try:
        event.validated(document)
    except event.InvalidEventError as error:
        raise Unfit(outline(document), f'an event ({error})') from None
    text(document.get('subject'))


#: By the first letters of what has become of a trigger
_STATES: dict[str, Check] = {'s.fired': _firing, 's.look': _look, 's.acted': _acted, 'e': _firing}


def check_workspace(where: str, document: Any) -> None:
    """:raises Unfit: it is not the document that says that there is this workspace"""
    _workspace(document)
    name = where.split('/')[1].removesuffix('.json')
    if document['name'] != name:
        raise Unfit(f'workspace {outline(document["name"])}', f'workspace {name}').inside('name')


def check_inside(where: str, document: Any) -> None:
    """:raises Unfit: it is none of the documents that lie in a workspace"""
    kind, *rest = where.split('/')[2:] or ['']
    if kind == 't' and len(rest) == 2:
        if rest[1] == 'trigger.json':
            _of_its_id(where, document)
        else:
            _STATES.get(rest[1].rpartition('.')[0], mapping)(document)
    else:
        _KINDS.get(kind, mapping)(document)


_KINDS: dict[str, Check] = {'e': _event, 'c': _context, 'd': anything, 'ended.json': _end}
