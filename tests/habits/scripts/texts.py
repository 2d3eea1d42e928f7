"""Texts and formats: patterns, JSON, CSV, templates, dates as text, digests, parsers."""

import ast
import base64
import binascii
import codecs
import configparser
import csv
import difflib
import email.message
import email.parser
import hashlib
import hmac
import html
import io
import ipaddress
import json
import pprint
import re
import shlex
import string
import textwrap
import tokenize
import unicodedata
import urllib.parse
import xml.etree.ElementTree as ET
import zlib

import drive
import lithops
from together import together

WORD = re.compile(r'(?P<first>\w)(?P<rest>\w*)', re.IGNORECASE)


def same(value):
    return value


def words_of(text):
    return [match.groupdict() for match in WORD.finditer(text)]


def patterns_compiled_at_the_top():
    found = yield words_of, 'To be'
    return found, WORD.sub(lambda match: match['rest'] + match['first'], 'over and out'), WORD.pattern


def patterns_as_arguments():
    there = yield re.split, re.compile(r'\s*[,;]\s*'), 'a, b ;c'
    match = re.match(r'(\d+)-(\d+)', '10-20')
    yield same, match.group(1)
    return there, match.span(2), match.groups()


class Encoder(json.JSONEncoder):
    def default(self, value):
        return sorted(value) if isinstance(value, set) else super().default(value)


def json_documents():
    text = json.dumps({'b': {1, 2}, 'a': [None, 1.5, 'é']}, cls=Encoder, sort_keys=True, indent=1)
    found = yield json.loads, text
    return found, json.loads('{"x": 1}', object_hook=lambda d: list(d.items())), json.loads(text, parse_float=str)['a'][1]


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text), delimiter=';'))


def tables_as_text():
    rows = yield rows_of, 'name;n\nann;1\n"b;c";2\n'
    out = io.StringIO()
    writer = csv.DictWriter(out, ['name', 'n', 'twice'], quoting=csv.QUOTE_NONNUMERIC, lineterminator='\n')
    writer.writeheader()
    writer.writerows({**row, 'twice': int(row['n']) * 2} for row in rows)
    return out.getvalue(), csv.Sniffer().sniff('a\tb\n1\t2\n').delimiter


def wrapped_text():
    text = textwrap.dedent('''
        To be, or not to be, that is the question:
        Whether 'tis nobler in the mind to suffer
    ''')
    there = yield textwrap.fill, text.strip(), 20
    return there.splitlines(), textwrap.shorten(text, 20), textwrap.indent('a\nb', '> ')


class Dotted(string.Template):
    idpattern = r'[a-z]+(\.[a-z]+)*'


def templates():
    greeting = string.Template('$who owes $$${amount}')
    there = yield greeting.substitute, {'who': 'ann', 'amount': 5}
    return there, Dotted('${a.b} $c').safe_substitute({'a.b': 1})


class Formatted:
    def __format__(self, spec):
        return f'<{spec}>'


def formats():
    width = yield same, 8
    line = f'{3.14159:>{width}.2f}|{"x":^5}|{1234567:,}|{255:#x}|{Formatted():abc}|{width!r:0>4}|{width=}'
    return line, '%05.1f %s' % (2.5, 'a')


def digests_of(data):
    return hashlib.sha256(data).hexdigest()[:16], zlib.crc32(data), hmac.new(b'key', data, 'sha1').hexdigest()[:8]


def digests():
    hasher = hashlib.md5(b'first')
    there = yield digests_of, b'data'
    hasher.update(b'second')
    return there, hasher.hexdigest(), digests_of(b'data') == there, hmac.compare_digest('a', 'a')


def encodings():
    data = 'Grüße, 世界'.encode()
    there = yield base64.b64encode, data
    turned = codecs.encode('abc', 'rot13'), binascii.hexlify(b'\x01\xff'), data.decode('latin-1')[2:4]
    return base64.urlsafe_b64decode(there).decode(), turned, unicodedata.normalize('NFD', 'é') == 'é'


def addresses():
    parts = urllib.parse.urlsplit('https://a.org:80/x/y?q=1&q=2#top')
    there = yield urllib.parse.parse_qs, parts.query
    network = ipaddress.ip_network('10.0.0.0/30')
    return there, parts.port, urllib.parse.urljoin('https://a.org/x/y', '../z'), [str(host) for host in network.hosts()]


def configurations():
    parser = configparser.ConfigParser()
    parser.read_string('[DEFAULT]\nroot = /srv\n[data]\npath = %(root)s/data\nn = 3\non = yes\n')
    n = yield same, parser.getint('data', 'n')
    parser['data']['n'] = str(n + 1)
    out = io.StringIO()
    parser.write(out)
    return parser.get('data', 'path'), parser.getboolean('data', 'on'), out.getvalue()


def title_of(text):
    return ET.fromstring(text).findtext('head/title')


def trees_of_markup():
    root = ET.Element('a', {'n': '1'})
    ET.SubElement(root, 'b').text = yield title_of, '<html><head><title>T &amp; U</title></head></html>'
    return ET.tostring(root, 'unicode'), html.escape('<a>'), html.unescape('&eacute;')


def differences():
    old, new = yield same, ('a\nb\n', 'a\nc\n')
    ratio = difflib.SequenceMatcher(None, old, new).ratio()
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm=''))
    return changes, ratio, difflib.get_close_matches('aple', ['apple'])


def literals_and_syntax():
    there = yield ast.literal_eval, "{'a': (1, 2.5)}"
    names = sorted(node.id for node in ast.walk(ast.parse('x = y + 1')) if isinstance(node, ast.Name))
    tokens = [token.string for token in tokenize.generate_tokens(io.StringIO('a+1').readline)]
    return there, names, tokens[:3], eval('1 + a', {'a': 2}), shlex.split('cp "a b" c')


def pretty():
    nested = {'name': 'x' * 30, 'list': list(range(20)), 'inner': {'b': 1, 'a': 2}}
    back = yield same, nested
    return pprint.pformat(back, width=40), ascii('é'), repr('a\n')


def mails():
    message = email.message.EmailMessage()
    message['Subject'] = yield same, 'Grüße'
    message.set_content('Hello')
    parsed = email.parser.Parser().parsestr('From: a@b.c\n\nbody')
    return message['Subject'], message.get_content(), parsed['From'], parsed.get_payload()


def texts_of_every_kind():
    there = yield str.title, "they're"
    table = str.maketrans('ab', 'xy', 'c')
    digits = '½'.isnumeric(), '7'.isdecimal()
    return there, digits, 'abc'.translate(table), 'a-b-c'.rsplit('-', 1), 'ß'.casefold(), 'x'.join('abc'), 'tEST'.swapcase()


def surrogates_and_odd_characters():
    odd = 'caf\udce9 \x00 \u202e \N{SNOWMAN}'
    length = yield len, odd
    return length, odd.encode('utf-8', 'surrogateescape'), ascii(odd)


HABITS = [
    patterns_compiled_at_the_top,
    patterns_as_arguments,
    json_documents,
    tables_as_text,
    wrapped_text,
    templates,
    formats,
    digests,
    encodings,
    addresses,
    configurations,
    trees_of_markup,
    differences,
    literals_and_syntax,
    pretty,
    mails,
    texts_of_every_kind,
    surrogates_and_odd_characters,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
