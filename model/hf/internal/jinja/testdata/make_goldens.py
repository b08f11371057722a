"""Golden renderings: what transformers makes of small templates, one feature each.

Needs: pip install transformers jinja2. Run in this folder: python make_goldens.py
Writes golden.json.gz: {"vars", "rows"}, rows of {"src", "out"} or, where the reference refuses,
{"src", "error"}: one feature each, then random ones; and markup.json, the same of templates that escape.
"""
import copy, gzip, json, random, re, warnings

from transformers.utils.chat_template_utils import _compile_jinja_template

VARS = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b> \"x\" 'y' é😀\n"},
                 {"role": "assistant", "content": [{"type": "image"}, {"type": "text", "text": " ok "}]}],
    "s": "  Hello, World\tfoo\n", "w": "the QUICK (brown)-fox's  jumpş", "n": 7, "m": -3, "f": 2.5, "big": 1e20, "small": 1e-7,
    "t": True, "none_": None, "empty": "", "xs": [3, 1, 2], "d": {"b": 1, "a": [1, None, True], "items": "shadowed", "C": {"k": "v"}},
    "words": ["pear", "Apple", "fig", "apple"], "uni": "日本語 ñandú \u2028x\x01\x7f\u00a0",
}

SOURCES = r'''
plain
{{ s }}|{{ n }}|{{ f }}|{{ t }}|{{ none_ }}|{{ nothing }}|{{ xs }}|{{ d }}
{{ 1.0 }} {{ 1e20 }} {{ 1e16 }} {{ 123456789012345.0 }} {{ 1e-5 }} {{ 0.0001 }} {{ big }} {{ small }} {{ 1_000 }} {{ 0.1 + 0.2 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 3 ** 2 }}
{{ -n }} {{ +n }} {{ - n + 1 }} {{ -1|abs }} {{ (m)|abs }} {{ not n }} {{ 1 - -1 }}
{{ true and 'x' }} {{ '' or 'y' }} {{ none_ or 0 }} {{ 1 and 0 }} {{ not '' }} {{ true == 1 }} {{ 1 == 1.0 }} {{ '1' == 1 }}
{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ 2 in xs }} {{ 9 not in xs }} {{ 'ell' in s }} {{ 'b' in d }} {{ 'z' in nothing }}
{{ 'a' if n > 3 else 'b' }} {{ 'a' if n < 3 }} {{ 'a' if n < 3 else 'b' if n < 5 else 'c' }}
{{ 'a' ~ 1 ~ none_ ~ true ~ nothing ~ 1.5 }} {{ 'a' + 'b' }} {{ 'ab' * 2 }} {{ 2 * 'ab' }} {{ 'x' * -1 }} {{ [1] + [2] }} {{ 'a' 'b' "c" }}
{{ [1, 'a', "it's", 'say "x"', 'both \' "', none, [], {}, (1,), (), 1.0, '\n\t\\é\x01\u2028'] }} {{ uni }} {{ [uni] }}
{{ xs[0] }} {{ xs[-1] }} {{ xs[5] }} {{ xs[1:] }} {{ xs[::-1] }} {{ xs[:-1] }} {{ xs[-2:] }} {{ xs[10:] }} {{ xs[::2] }} {{ xs[2:0:-1] }} {{ xs[-9:9] }} {{ xs[:0:-1] }} {{ xs[9:0:-2] }}
{{ uni[0] }} {{ uni[1:3] }} {{ uni[::-1] }} {{ s[2:7] }} {{ 'abc'[-1] }} {{ 'abc'[5] }} {{ (1,2,3)[1:] }}
{{ d.b }} {{ d['b'] }} {{ d.C.k }} {{ d.zzz }} {{ d['items'] }} {{ d.get('b') }} {{ d.get('q') }} {{ d.get('q', 5) }} {{ d['C']['k'] }} {{ xs.0 }}
{{ d.zzz.y }}
{{ nothing.y }}
{{ nothing['y'] }}
{{ none_.x }} {{ none_['x'] }}
{{ none_.x.y }}
{{ nothing + 1 }}
{{ nothing < 1 }}
{{ nothing() }}
{{ n() }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 'a' + 1 }}
{{ 'a' < 1 }}
{{ 1 in 'abc' }}
{{ -'a' }}
{{ xs.append(1) }}
{{ d.update({'x': 1}) }}
{{ s.__class__ }}
{{ xs|nosuch }}
{{ xs is nosuch }}
{{ raise_exception('no way') }}
{% for i in xs %}{{ i }}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}
{% for i in [] %}x{% else %}none{% endfor %} {% for i in nothing %}x{% else %}none{% endfor %} {% for c in 'añ😀' %}[{{ c }}]{% endfor %}
{% for k in d %}{{ k }},{% endfor %} {% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %} {% for k in d.keys() %}{{ k }}{% endfor %} {% for v in d.values() %}{{ v }}{% endfor %}
{% for i in xs if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}
{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in [1,2] %}{% for j in [1,2] %}{{ loop.index }}{% if j == 1 %}{% continue %}{% endif %}{{ i }}{{ j }}{% endfor %}{{ loop.index }};{% endfor %}
{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %} {% set p, q = 1, 2 %}{{ p }}{{ q }}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for i in n %}x{% endfor %}
{{ loop }}
{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% set ns = namespace(a=1, b='x') %}{% for i in xs %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}
{% set q.a = 1 %}
{% set x %}a {{ n }} b{% endset %}[{{ x }}] {% set y | upper %}abc{{ n }}{% endset %}{{ y }}
{% macro m(a, b=2, c='z') %}({{ a }},{{ b }},{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(1, 2, 3) }}{{ m() }}{{ m(b=1, a=5) }}{{ m(1) + 'x' }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}
{% macro r(k) %}{% if k > 0 %}{{ k }}{{ r(k - 1) }}{% endif %}{% endmacro %}{{ r(5) }}
{% macro g() %}{{ later }}{% endmacro %}{% set later = 'L' %}{{ g() }}
{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}
{% filter upper %}abc {{ n }}{% endfilter %} {% filter trim | replace('a', 'b') %}  aa {% endfilter %}
{% generation %}gen {{ n }}{% endgeneration %} {% set z = 1 %}{% generation %}{% set z = 2 %}{% endgeneration %}{{ z }}
{% raw %}{{ not }} {% x %} {# c #}{% endraw %} {%- raw -%}  y  {%- endraw -%}  z
{# comment #}a{#- comment -#}  b  {#- x #} c
  {% if true %}  ⏎ x⏎  {% endif %}⏎ y {# c #}⏎z⏎
a⏎  {% if true %}⏎b⏎  {% endif %}⏎c⏎⏎
a⏎  {%+ if true %}⏎b⏎  {%- endif +%}⏎c⏎
a {%- if true -%} b {%- endif -%} c ⏎ {{- n -}} ⏎ d {{ n }}⏎e
  {# lead #}⏎  text⏎\t{% set a = 1 %}⏎\t{{ a }}⏎
{{ n }}  {% if t %}x{% endif %}   ⏎   {% if t %}y{% endif %}  z⏎⏎⏎
  {{ n }}⏎  {{ n }}⏎
{% if n == 7 %}⏎⏎blank⏎⏎{% endif %}⏎
{{ {'a': {'b': 1}} }}{{ {'a': {}}['a'] }}{{ {}}}
{{ "}}" }}{{ '%}' }}{% set a = '%}' %}{{ a }}
{{ 'esc: \n \t \\ \' \" \x41 \u00e9 \U0001F600 \101 \q \⏎ joined' }}
{{ s|trim }}|{{ s|upper }}|{{ s|lower }}|{{ s|length }}|{{ s|trim|length }}|{{ 'xxaxx'|trim('x') }}|{{ 5|string + 'a' }}|{{ w|title }}|{{ w|capitalize }}
{{ s.strip() }}|{{ s.lstrip() }}|{{ s.rstrip() }}|{{ 'xxaxyx'.strip('xy') }}|{{ 'xxa'.lstrip('x') }}|{{ w.title() }}|{{ w.upper() }}|{{ w.lower() }}|{{ w.capitalize() }}
{{ 'a,b,,c'.split(',') }} {{ 'a,b,,c'.split(',', 1) }} {{ ' a  b c '.split() }} {{ ' a  b c '.split(none, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a<t>b'.split('<t>')[-1] }}
{{ 'abc'.split('') }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ ''.splitlines() }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('b') }} {{ 'aXbX'.replace('X', '-') }} {{ 'aXbX'.replace('X', '-', 1) }} {{ 'ab'.replace('', '.') }} {{ 'añb'.find('b') }} {{ 'a'.find('z') }} {{ 'abab'.rfind('b') }} {{ 'abab'.count('ab') }} {{ ','.join(['a', 'b']) }}
{{ '12'.isdigit() }} {{ '1a'.isdigit() }} {{ 'ab'.isalpha() }} {{ ''.isdigit() }} {{ '  '.isspace() }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }}
{{ nothing|default('d') }} {{ none_|default('d') }} {{ none_|default('d', true) }} {{ ''|d('e') }} {{ ''|d('e', boolean=true) }} {{ nothing|default }}
{{ xs|join }} {{ xs|join(', ') }} {{ messages|join('/', attribute='role') }} {{ xs|first }} {{ xs|last }} {{ []|first }} {{ 'abc'|first }} {{ xs|length }} {{ d|length }} {{ xs|count }}
{{ xs|sort }} {{ xs|sort(reverse=true) }} {{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ messages|sort(attribute='role')|map(attribute='role')|list }} {{ xs|reverse|list }} {{ 'abc'|reverse }} {{ words|unique|list }}
{{ messages|map(attribute='role')|list }} {{ words|map('upper')|list }} {{ words|map('replace', 'a', 'o')|join(',') }} {{ [{'a': {'b': 1}}]|map(attribute='a.b')|list }} {{ [{}]|map(attribute='z', default='q')|list }}
{{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ messages|rejectattr('role', 'eq', 'user')|map(attribute='role')|list }} {{ messages|selectattr('content')|list|length }} {{ messages|selectattr('role', 'in', ['user', 'system'])|list|length }} {{ messages|selectattr('x', 'defined')|list }}
{{ xs|select('odd')|list }} {{ xs|reject('gt', 1)|list }} {{ [0, 1, '', 'a']|select|list }}
{{ xs|select('nosuch')|list }}
{{ '42'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ 3.9|int }} {{ '3.9'|int }} {{ -3.9|int }} {{ '2.5'|float }} {{ 'x'|float }} {{ n|float }} {{ m|abs }} {{ -2.5|abs }}
{{ xs|sum }} {{ xs|max }} {{ xs|min }} {{ words|max }} {{ [1, 2.5]|sum }} {{ xs|sum(start=10) }} {{ [{'a': 2}]|sum(attribute='a') }}
{{ d|dictsort }} {{ d|items|list }} {{ 'ab'|list }} {{ d|list }} {{ {'b': 2, 'a': 3}|dictsort(by='value', reverse=true) }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2) }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(1, blank=true) }}|{{ 'a\nb'|indent('> ') }}
{{ d|tojson }} {{ uni|tojson }} {{ messages|tojson }} {{ [1.0, 1e20, true, none, 'a"\\/\b\f']|tojson }} {{ 'é😀'|tojson(ensure_ascii=true) }}
{{ d|tojson(indent=2) }} {{ []|tojson(indent=2) }} {{ {}|tojson(indent=4) }} {{ d|tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ [[1], {'a': [2]}]|tojson(indent=1, separators=(', ', ' : ')) }}
{{ n is defined }} {{ nothing is defined }} {{ nothing is undefined }} {{ d.zzz is defined }} {{ none_ is none }} {{ n is not none }} {{ n is not defined }} {{ s is string }} {{ n is number }} {{ f is float }} {{ n is integer }} {{ t is boolean }} {{ t is integer }} {{ d is mapping }} {{ xs is mapping }}
{{ xs is iterable }} {{ n is iterable }} {{ s is iterable }} {{ xs is sequence }} {{ d is sequence }} {{ nothing is iterable }} {{ t is true }} {{ t is false }} {{ 1 is true }} {{ 3 is odd }} {{ 3 is even }} {{ -3 is odd }} {{ 9 is divisibleby 3 }} {{ 1 is eq 1 }} {{ 1 is in [1] }} {{ 2 is lt 3 }} {{ none_ is sameas none }} {{ raise_exception is callable }} {{ 'abc' is lower }} {{ 'ABC' is upper }}
{{ 'x' if n is defined and n > 3 else 'y' }} {{ n is defined or nothing.x }} {{ not n is none }} {{ (n is number) ~ '' }} {{ n is number and s is string }}
{{ range(3)|list }} {{ range(1, 4)|list }} {{ range(5, 0, -2)|list }} {{ dict(a=1, b='x') }} {{ dict({'q': 1}, a=2) }}
{{ strftime_now('%%') }}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% nosuch %}
{% if %}x{% endif %}
{% if t %}x
{% for x in xs %}x
{{ n
{{ (n }}
{{ n) }}
{{ }}
{% endif %}
{{ 'abc }}
{% set 1 = 2 %}
{% set true = 2 %}
{# open
{% raw %} open
{{ n n }}
{{ @ }}
{% for x xs %}{% endfor %}
{% break %}
{% else %}
{{ xs[::0] }}
{{ [3, 'a']|sort }}
{{ -xs|length }}
{{ 'a'.nosuch }}
{{ 'a'.nosuch() }}
{{ d.items }}
{{ messages[0].role.upper() + messages[-1]['content'][1].text.strip() }}
{{ messages[1:]|length }}{% for m in messages[1:] %}{{ m.role }}{% endfor %}
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% endif %}{{ loop_messages|length }}{{ system_message }}
{% if t %}a{% elif n %}b{% else %}c{% endif %}{% if 0 %}a{% elif n %}b{% else %}c{% endif %}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}
{{ '%s is %d' % ('a', 1) }}
{{ '{} {}'.format(1, 2) }}
{{ "%s"|format(1) }}
{{ xs|length > 2 and xs|length < 9 }} {{ xs|length - 1 }} {{ 'a' ~ xs|length }} {{ xs[xs|length - 1] }}
{{ 1,2 }} {{ (1) }} {{ (1,) }} {{ [1,] }} {{ {'a': 1,} }}
{{ namespace }}
{{ 'straße'.upper() }} {{ 'ΑΣ'.lower() }} {{ 'İ'.lower() }} {{ 'ǆ'|capitalize }} {{ 'ǆa bc'.title() }}
{{ 9223372036854775807 }} {{ -9223372036854775807 }}
'''

rows = []


def add(src):
    try:
        out = _compile_jinja_template.__wrapped__(src).render(**copy.deepcopy(VARS))
    except Exception as e:
        rows.append({"src": src, "error": f"{type(e).__name__}: {e}"})
        return
    # What Python prints of its own objects is no part of the language.
    if not any(mark in out for mark in [" at 0x", "<generator", "<built-in", "<list_rev", "dict_"]):
        rows.append({"src": src, "out": out})


for src in SOURCES.strip("\n").split("\n"):
    # ⏎ stands for a newline in the template itself, \\n for the escape in a string.
    for variant in sorted({src.replace("⏎", "\n"), src.replace("⏎", "\r\n")}):
        add(variant)

PIECES = ["a", "\n", " ", "  ", "\n\n", "\t", "x y", "{{ n }}", "{{- n }}", "{{ n -}}", "{{- n -}}", "{# c #}", "{#- c #}", "{# c -#}",
          "{#+ c +#}", "{% if t %}", "{% endif %}", "{%- if t %}", "{% if t -%}", "{%- endif -%}", "{%+ if t %}", "{% endif +%}",
          "{% set q = 1 %}", "{%- set q = 2 -%}", "{% for i in xs %}", "{% endfor %}", "{% raw %} r {% endraw %}", "{%- raw -%} r {%- endraw -%}",
          "{% raw %}\n r\n  {%+ endraw +%}", "\r\n", "\u00a0", "\x1c", "{{ s }}", "{", "}", "%}", "{%"]
ATOMS = ["n", "m", "f", "t", "none_", "s", "xs", "d", "words", "''", "'a'", "'\"b'", "1", "0", "-2", "2.5", "true", "none", "[]", "{}", "(1, 'a')",
         "nothing", "uni", "messages[0]", "messages[-1].content"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
INDEXES = ["0", "-1", "1:", "::-1", ":2", "-1:0:-1", "::2"]
FILTERS = ["trim", "upper", "lower", "length", "list", "first", "last", "join", "join('-')", "tojson", "string", "int", "float", "sort", "default(1)",
           "default('z', true)", "abs", "title", "capitalize", "replace('a', 'b')", "tojson(indent=1)", "items|list", "unique|list",
           "map('string')|list", "max", "min", "sum", "dictsort", "count"]
TESTS = ["defined", "none", "string", "number", "mapping", "iterable", "sequence", "true", "odd", "eq 1", "in [1, 2]", "integer", "float", "boolean",
         "undefined", "false", "not none"]
MEMBERS = ["role", "content", "strip()", "split()", "upper()", "items()|list", "get('b')", "b", "title()", "keys()|list", "startswith('a')",
           "splitlines()", "split('l', 1)", "rsplit(none, 1)", "find('l')", "capitalize()", "isdigit()"]
r = random.Random(3)


def expression(depth):
    def e():
        return expression(depth - 1)
    kind = r.randrange(20)
    if depth <= 0 or kind < 6:
        return r.choice(ATOMS)
    if kind < 9:
        return f"({e()} {r.choice(OPERATORS)} {e()})"
    if kind == 9:
        return f"(not {e()})"
    if kind == 10:
        return f"({e()} if {e()} else {e()})"
    if kind == 11: # a name: constants are folded before they are refused
        return f"{r.choice(['s', 'xs', 'words', 'uni'])}[{r.choice(INDEXES)}]"
    if kind == 12:
        return f"[{e()}, {e()}]"
    if kind == 13:
        return "{'k': " + e() + ", 1: " + e() + "}"
    if kind < 17:
        return f"({e()})|{r.choice(FILTERS)}"
    if kind == 17:
        return f"({e()} is {r.choice(TESTS)})"
    if kind == 18:
        return f"({e()}).{r.choice(MEMBERS)}"
    return f"({e()}, {e()})"


warnings.simplefilter("ignore")
for i in range(1500):
    add("".join(r.choice(PIECES) for _ in range(r.randint(1, 9))))
    add("{{ " + expression(r.randint(1, 3)) + " }}")
with gzip.GzipFile("golden.json.gz", "wb", mtime=0) as f:
    f.write(json.dumps({"vars": VARS, "rows": rows}, ensure_ascii=True).encode())
print(len(rows), "templates,", sum("error" in r for r in rows), "refused")

# Escaped text, which stays markup: what is added to it is escaped, too.
MARKUP = r"""
{{ '<a>&"\''|e }} {{ '<a>'|escape }} {{ '<a>'|e|e }} {{ '<a>'|forceescape }} {{ '<a>'|e|forceescape }} {{ '<a>'|safe|e }}
{{ ('<a>'|e) + '<b>' }} {{ '<b>' + ('<a>'|e) }} {{ ('<a>'|e) ~ '<b>' }} {{ '<a>'|safe + '<b>' }} {{ '<a>'|safe ~ '<b>' }} {{ ('<'|e) + ('>'|e) }}
{{ 5|e }} {{ none|e }} {{ nothing|e }} {{ ['<a>']|e }} {{ {'<': '>'}|e }} {{ ['<a>'|e] }} {{ ('<'|e,) }} {{ {'<'|e: 1}['&lt;'] }} {{ d|e }}
{{ ('<a>'|e)|upper }} {{ ('<a>'|e)|upper + '<' }} {{ (' <a> '|e)|trim + '<' }} {{ ('<a>'|e)|capitalize + '<' }} {{ ('<a>'|e)|title + '<' }} {{ ('<'|e)|string + '<' }} {{ ('<a>'|e)|lower + '<' }}
{{ ('<a>'|e)|replace('&', '<') + '<' }} {{ '<a>'|replace('<', '>'|e) }} {{ ('<a>'|e).replace('a', '<') }} {{ ('<a>'|e).replace('a', '<'|e) + '<' }} {{ 'a<'.replace('<', '>'|e) + '<' }}
{{ ('<a>'|e)|length }} {{ ('<a>'|e) is string }} {{ ('<a>'|e) is escaped }} {{ '<a>' is escaped }} {{ ('<'|safe) is escaped }} {{ 5 is escaped }}
{{ ['<a>','<b>']|join('<'|e) }} {{ ['<a>'|e,'<b>']|join('<') }} {{ '<a>'|e|tojson }} {{ ['<'|e]|tojson }} {{ {'a': '<'|e}|tojson(indent=1) }}
{{ ('<a>'|e) * 2 + '<' }} {{ 2 * ('<a>'|e) }} {{ ('<a>'|e) == '&lt;a&gt;' }} {{ '&lt;' == ('<'|e) }} {{ ('<'|e) != '<' }} {{ ('<a>'|e)[0:3] + '<' }} {{ ('<a>'|e)[0] + '<' }} {{ ('<a>'|e)[-1] }}
{{ ('<a>b'|safe).split('a')[0] + '<' }} {{ ('<a>'|safe).split('a') }} {{ ('<a>'|e).upper() + '<' }} {{ (' <'|e).strip() + '<' }} {{ ('<a>'|e).startswith('&lt;') }} {{ ('<a>'|e).find('a') }}
{{ 'lt' in ('<'|e) }} {{ ('<'|e) in '&lt;a' }} {{ ('<'|e) in ['&lt;'] }} {{ ('a'|e) < 'b' }} {{ ['b'|e, 'A']|sort }} {{ ['<'|e, '&lt;']|unique|list }} {{ ('<'|e)|list }} {{ ('<'|e)|first }} {{ ('ab'|e)|reverse }}
{% filter e %}<a>{% endfilter %} {% filter escape %}<{{ '<a>'|e }}{% endfilter %} {% set x %}<a>{% endset %}{{ x|e }} {{ x ~ '<' }} {% set y = '<'|e %}{{ y }}{{ y + '<' }}
{{ ['<a>', '&']|map('e')|join('|') }} {{ ['<a>']|map('escape')|list }} {{ '<a>'|default('x')|e }} {{ nothing|default('<'|e) + '<' }} {{ (''|e) or '<' }} {{ ('x'|e) and '<' }} {{ ('<'|e) if true }}
{% for c in '<a'|e %}{{ c }},{% endfor %} {% for p in ('a<,b'|e).split(',') %}{{ p + '<' }} {% endfor %} {% if ''|e %}x{% else %}y{% endif %} {% macro m(a) %}{{ a + '<' }}{% endmacro %}{{ m('<'|e) }} {{ m('<')|e }}
{{ messages[1].content|e }} {{ (messages[1].content|e)|length }} {{ uni|e }} {{ ('<a>\n<b>'|e)|indent(2) + '<' }} {{ ('7'|e)|int + 1 }} {{ ('1.5'|e)|float }} {{ ('<'|e) + 1 }}
"""
out = []
for src in MARKUP.strip("\n").split("\n"):
    for part in [src] if "{%" in src else re.findall(r"\{\{ .*? \}\}", src):
        try:
            out.append({"src": part, "out": _compile_jinja_template(part).render(**copy.deepcopy(VARS))})
        except Exception as e:
            out.append({"src": part, "error": str(e)[:80]})
with open("markup.json", "w") as f:
    f.write("[" + ",\n".join(map(json.dumps, out)) + "]\n")
print(len(out), "templates that escape,", sum("error" in r for r in out), "refused")
