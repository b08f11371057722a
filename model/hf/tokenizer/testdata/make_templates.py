"""Golden chats: templates in the style of released models, rendered by transformers.

Needs: pip install transformers jinja2. Run in this folder: python make_templates.py
Writes templates/golden.json: {"templates": {name: source}, "chats": {name: messages}, "rows":
[{"template", "chat", "prompt", "out"}], or "error" where the template or the reference refuses}.
"""
import json, os

from transformers.utils.chat_template_utils import render_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

TEMPLATES = {
    # Images of a message first, then its texts; the assistant's turns marked for training.
    "llava": """{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] is string and message['content'] or message['content'][0]['text'] }} {% else %}{{ message['role'].upper() + ': ' }}{% endif %}{# images come first #}{% if message['content'] is string %}{% if message['role'] != 'system' %}{{ message['content'] }}{% endif %}{% else %}{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}{% if message['role'] == 'assistant' %}{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}{{ part['text'] + ' ' }}{% endgeneration %}{% endfor %}{% elif message['role'] != 'system' %}{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}{% endif %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}""",
    # Counters in namespaces, optional numbering of pictures, a default system message.
    "qwen2-vl": """{% set pictures = namespace(n=0) %}{% set clips = namespace(n=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are helpful.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' or 'image' in part or 'image_url' in part %}{% set pictures.n = pictures.n + 1 %}{% if number_images %}Picture {{ pictures.n }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif part['type'] == 'video' or 'video' in part %}{% set clips.n = clips.n + 1 %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}""",
    # The same turns written over many lines, whitespace taken out by minus signs, tools told apart.
    "qwen2.5-vl": """{%- set ns = namespace(images=0) -%}
{%- if tools -%}
    {{- 'TOOLS ' ~ (tools | tojson) -}}
{%- endif -%}
{%- if messages[0].role != 'system' -%}
    {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' -}}
    {%- if message.content is string -%}
        {{- message.content -}}
    {%- else -%}
        {%- for part in message.content -%}
            {%- if part.type == 'image' -%}
                {%- set ns.images = ns.images + 1 -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- elif part.type == 'text' -%}
                {{- part.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
""",
    "llama3": """{{- bos_token }}
{%- set date = strftime_now('%%') if strftime_now is defined else '' %}
{%- set first = true %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set body = message.content | trim %}
    {%- else %}
        {%- set body = message.content | selectattr('type', 'equalto', 'text') | map(attribute='text') | join('\\n') | trim %}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + body + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "chatml": """{% for message in messages %}
  {# lines of their own leave nothing #}
  {% if message.content is string %}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' }}
  {% else %}
    {% for part in message.content %}
      {% if part.type == 'image' %}
<image>
      {% continue %}
      {% endif %}
{{ part.text }}
    {% endfor %}
  {% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}
""",
    "vicuna": """{%- if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set rest = messages[1:] %}{% else %}{% set system = 'A chat.' %}{% set rest = messages %}{% endif -%}
{{ bos_token ~ system }}{% for m in rest %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles have to alternate user/assistant, found ' ~ m.role ~ ' at ' ~ loop.index) }}{% endif %}{% if m.role == 'user' %}{{ ' USER: ' ~ m.content | trim }}{% else %}{{ ' ASSISTANT: ' ~ m.content | trim ~ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}""",
    "mistral": """{%- macro say(content) -%}
    {%- if content is string -%}{{ content }}
    {%- else -%}
        {%- for part in content -%}
            {%- if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}[IMG]{% else %}{{ raise_exception('unknown part') }}{% endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(system='') -%}
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {%- set ns.system = say(message['content']) ~ '\\n\\n' -%}
    {%- elif message['role'] == 'user' -%}
        {{- '[INST] ' ~ (ns.system if loop.last else '') ~ say(message['content']) ~ '[/INST]' -}}
    {%- elif message['role'] == 'assistant' -%}
        {{- ' ' ~ say(message['content']) ~ eos_token -}}
    {%- else -%}
        {{- raise_exception('Only user, assistant and system roles are known, not ' ~ message['role']) -}}
    {%- endif -%}
{%- endfor -%}
""",
    # A reasoning model's: looks back for the last question, cuts thoughts out of old answers.
    "reasoning": """{%- set ns = namespace(last=messages|length - 1, found=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.found and message.role == 'user' and message.content is string and not (message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.found = true %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else message.content | tojson %}
    {%- if message.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<' + message.role + '>' + content + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<assistant>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>' }}
    {%- endif %}
{%- endif %}
""",
}


def text(t):
    return {"type": "text", "text": t}


IMAGE = {"type": "image"}
CHATS = {
    "one": [{"role": "user", "content": "Who is this?"}],
    "turns": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "  Ada.\n"}, {"role": "user", "content": " Sure? "}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    "image": [{"role": "user", "content": [IMAGE, text("Who is the person in the image?")]}],
    "image last": [{"role": "user", "content": [text("Look:"), IMAGE]}],
    "images": [{"role": "user", "content": [IMAGE, text("A"), IMAGE, text("B")]}, {"role": "assistant", "content": [text("C"), text("D")]},
               {"role": "user", "content": [text("E")]}],
    "system parts": [{"role": "system", "content": [text("S.")]}, {"role": "user", "content": [text("Q")]}],
    "special": [{"role": "user", "content": "<b>&amp;\"quoted\" 'single' {{ x }} {% if %} \\n \t\u00e9\u4e2d\U0001f600\u200d\u2028 </s><s>"}],
    "code": [{"role": "user", "content": "def f(x):\n\treturn {x}\n\n\n"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nfine"}, {"role": "user", "content": "ok"}],
    "empty": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    "empty parts": [{"role": "user", "content": []}],
    "two users": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "tool": [{"role": "user", "content": "a"}, {"role": "tool", "content": "1"}],
    "blank text": [{"role": "user", "content": [IMAGE, text("")]}, {"role": "assistant", "content": [text("  ")]}],
    "no messages": [],
}

rows = []
for name, source in TEMPLATES.items():
    for chat, messages in CHATS.items():
        for prompt in (False, True):
            row = {"template": name, "chat": chat, "prompt": prompt}
            try:
                if not messages:
                    raise ValueError("apply_chat_template refuses an empty conversation")
                out, _ = render_jinja_template([messages], chat_template=source, add_generation_prompt=prompt, **TOKENS)
                row["out"] = out[0]
            except Exception as e:
                row["error"] = f"{type(e).__name__}: {e}"
            rows.append(row)
os.makedirs("templates", exist_ok=True)
json.dump({"templates": TEMPLATES, "chats": CHATS, "rows": rows}, open("templates/golden.json", "w"), indent=0)
print(len(rows), "rows,", sum("error" in r for r in rows), "refused")
