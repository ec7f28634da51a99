"""The cases that Event Ruler is asked about: a pattern, an event, and why the answer is left open, if it is.

The texts are JSON. They are kept as they are, because the spelling of a number matters.
"""

import json
import random

SPELLING = "Lambda's page says that numbers are compared as they are written"
ADDRESS = "Event Ruler takes two spellings of an IP address for equal"
UNLISTED = "Lambda's page does not list the operator"
RANGE = "the number is outside the documented range of numeric matching"
UNICODE = "upper and lower case beyond ASCII depend on the version of Unicode"
TWICE = "two rules for one field"
DOTS = "Event Ruler joins names with dots"
ABSENCE = "only some elements of an array have the field"
QUOTES = "Event Ruler matches the quotes of a text too"

# (pattern, events, why it is open or None)
WRITTEN = [
    # The operators of Lambda's page, each with what it takes and what it refuses.
    ('{"a":[null]}', ['{"a":null}', '{"a":"null"}', '{"a":0}', '{"b":1}', '{"a":[null]}', '{"a":{}}'], None),
    ('{"a":[""]}', ['{"a":""}', '{"a":" "}', '{"a":null}', '{"a":[]}', '{"a":["",1]}', '{}'], None),
    ('{"a":["x"]}', ['{"a":"x"}', '{"a":"X"}', '{"a":"xx"}', '{"a":["y","x"]}', '{"a":{"x":1}}', '{"a":[["x"]]}'], None),
    ('{"a":["x","y"]}', ['{"a":"y"}', '{"a":"z"}', '{"a":["z","y"]}'], None),
    ('{"a":["é\\u00e9"]}', ['{"a":"éé"}', '{"a":"\\u00e9\\u00e9"}', '{"a":"ee"}'], None),
    ('{"a":["x"],"b":[1]}', ['{"a":"x","b":1}', '{"a":"x"}', '{"b":1,"a":"x","c":2}', '{"a":"x","b":2}'], None),
    ('{"a":[true]}', ['{"a":true}', '{"a":false}', '{"a":"true"}', '{"a":1}'], None),
    ('{"a":[100]}', ['{"a":100}', '{"a":"100"}', '{"a":101}', '{"a":[1,100]}', '{"a":-100}'], None),
    ('{"a":[300]}', ['{"a":300.0}', '{"a":3.0e2}', '{"a":3E2}'], SPELLING),
    ('{"a":[3.0e2]}', ['{"a":300}'], SPELLING),
    ('{"a":[12345678901234567]}', ['{"a":12345678901234567}', '{"a":12345678901234568}'], None),
    ('{"a":[0.1]}', ['{"a":0.1}', '{"a":0.10000000000000001}', '{"a":0.2}'], None),
    ('{"a":[{"anything-but":["x"]}]}',
     ['{"a":"x"}', '{"a":"y"}', '{"a":""}', '{"a":5}', '{"a":null}', '{"a":true}', '{}', '{"a":[]}', '{"a":["x"]}',
      '{"a":["x","y"]}', '{"a":{"b":"y"}}'], None),
    ('{"a":[{"anything-but":"x"}]}', ['{"a":"x"}', '{"a":"y"}', '{"b":"y"}'], None),
    ('{"a":[{"anything-but":[1,2]}]}',
     ['{"a":1}', '{"a":3}', '{"a":"1"}', '{"a":null}', '{"a":[1,2]}', '{"a":[1,3]}', '{"a":12345678901234567}'], None),
    ('{"a":[{"anything-but":300}]}', ['{"a":300}', '{"a":301}'], None),
    ('{"a":[{"anything-but":300}]}', ['{"a":300.0}', '{"a":3e2}'], SPELLING),
    ('{"a":[{"anything-but":{"prefix":"x"}}]}', ['{"a":"xy"}', '{"a":"yx"}', '{"a":""}', '{"a":7}', '{}'], None),
    ('{"a":[{"anything-but":{"prefix":["x","y"]}}]}', ['{"a":"xy"}', '{"a":"yx"}', '{"a":"zx"}'], None),
    ('{"a":[{"anything-but":{"suffix":"x"}}]}', ['{"a":"xy"}', '{"a":"yx"}', '{"a":null}', '{}'], None),
    ('{"a":[{"anything-but":{"suffix":["é","y"]}}]}', ['{"a":"xé"}', '{"a":"éx"}', '{"a":"y"}'], None),
    ('{"a":[{"anything-but":{"equals-ignore-case":"x"}}]}', ['{"a":"X"}', '{"a":"x"}', '{"a":"xx"}', '{}'], None),
    ('{"a":[{"anything-but":{"equals-ignore-case":["x","Y"]}}]}', ['{"a":"X"}', '{"a":"y"}', '{"a":"z"}'], None),
    ('{"a":[{"anything-but":{"wildcard":"x*"}}]}', ['{"a":"xy"}', '{"a":"y"}'], UNLISTED),
    ('{"a":[{"numeric":["=",100]}]}', ['{"a":100}', '{"a":101}', '{"a":"100"}', '{}', '{"a":null}'], None),
    ('{"a":[{"numeric":["=",100]}]}', ['{"a":100.0}', '{"a":1e2}'], SPELLING),
    ('{"a":[{"numeric":[">",10,"<=",20]}]}',
     ['{"a":10}', '{"a":10.000001}', '{"a":15}', '{"a":20}', '{"a":20.0}', '{"a":20.000001}', '{"a":2e1}', '{"a":"15"}',
      '{"a":[1,15]}', '{"a":[1,30]}', '{"a":-15}'], None),
    ('{"a":[{"numeric":[">=",-1.5]}]}', ['{"a":-1.5}', '{"a":-1.500001}', '{"a":-1.50}', '{"a":0}', '{"a":-0}'], None),
    ('{"a":[{"numeric":["<",0]}]}', ['{"a":-0.000001}', '{"a":0}', '{"a":-0}', '{"a":-5e9}', '{"a":5e9}'], None),
    ('{"a":[{"numeric":[">",0]}]}', ['{"a":12345678901234567}', '{"a":0.0000001}', '{"a":1e300}'], RANGE),
    ('{"a":[{"exists":true}]}',
     ['{"a":null}', '{"a":""}', '{"a":0}', '{}', '{"a":{}}', '{"a":{"b":1}}', '{"a":[]}', '{"a":[1]}', '{"a":[{"b":1}]}'],
     None),
    ('{"a":[{"exists":false}]}',
     ['{"a":null}', '{}', '{"b":1}', '{"a":{}}', '{"a":{"b":1}}', '{"a":[]}', '{"a":[1]}'], None),
    ('{"a":{"b":[{"exists":false}]}}', ['{"a":{"b":1}}', '{"a":{"c":1}}', '{"a":1}', '{}', '{"a":[]}'], None),
    ('{"a":[{"exists":false},"x"]}', ['{"a":"x"}', '{"a":"y"}', '{}'], None),
    ('{"a":[{"exists":false}],"b":["x"]}', ['{"b":"x"}', '{"a":1,"b":"x"}', '{"b":"y"}', '{}'], None),
    ('{"a":[{"prefix":"us-"}]}',
     ['{"a":"us-east-1"}', '{"a":"us-"}', '{"a":"us"}', '{"a":"eu-us-"}', '{"a":7}', '{"a":["x","us-1"]}', '{}'], None),
    ('{"a":[{"prefix":""}]}', ['{"a":""}', '{"a":"x"}', '{"a":1}', '{}'], None),
    ('{"a":[{"prefix":"1"}]}', ['{"a":"10"}', '{"a":10}'], None),
    ('{"a":[{"suffix":".png"}]}', ['{"a":"x.png"}', '{"a":".png"}', '{"a":"png"}', '{"a":"x.png.gz"}', '{"a":1}'], None),
    ('{"a":[{"suffix":"é"}]}', ['{"a":"café"}', '{"a":"cafe"}'], None),
    ('{"a":[{"prefix":"x\\""}]}', ['{"a":"x"}'], QUOTES),
    ('{"a":[{"prefix":"x\\""}]}', ['{"a":"x\\"y"}', '{"a":"y"}'], None),
    ('{"a":[{"suffix":"\\"x"}]}', ['{"a":"x"}'], QUOTES),
    ('{"a":[{"equals-ignore-case":"Alice"}]}',
     ['{"a":"alice"}', '{"a":"ALICE"}', '{"a":"Alice "}', '{"a":"Bob"}', '{"a":1}', '{}', '{"a":["x","aLiCe"]}'], None),
    ('{"a":[{"equals-ignore-case":"é1A"}]}', ['{"a":"é1a"}'], None),
    ('{"a":[{"equals-ignore-case":"é"}]}', ['{"a":"É"}', '{"a":"è"}'], UNICODE),
    ('{"a":[{"equals-ignore-case":"k"}]}', ['{"a":"\\u212a"}'], UNICODE),
    ('{"$or":[{"a":["x"]},{"b":["y"]}]}', ['{"a":"x"}', '{"b":"y"}', '{"a":"y","b":"x"}', '{}', '{"a":"x","b":"y"}'], None),
    ('{"c":[1],"$or":[{"a":["x"]},{"b":["y"]}]}', ['{"a":"x","c":1}', '{"b":"y"}', '{"c":1}', '{"b":"y","c":1}'], None),
    ('{"d":{"$or":[{"a":["x"]},{"b":["y"],"c":[1]}]}}', ['{"d":{"a":"x"}}', '{"d":{"b":"y"}}', '{"d":{"b":"y","c":1}}'],
     None),
    ('{"$or":[{"a":["x"]},{"$or":[{"b":[1]},{"c":[1]}]}]}', ['{"a":"x"}', '{"b":1}', '{"c":1}', '{"c":2}'], None),
    ('{"a":["z"],"$or":[{"a":["x"]},{"b":["y"]}]}', ['{"a":"z"}', '{"a":"x"}', '{"a":"z","b":"y"}'], TWICE),
    # Operators that EventBridge has and Lambda's page has not.
    ('{"a":[{"wildcard":"x*y"}]}', ['{"a":"xy"}', '{"a":"x-y"}', '{"a":"z"}', '{}'], UNLISTED),
    ('{"a":[{"cidr":"10.0.0.0/24"}]}', ['{"a":"10.0.0.255"}', '{"a":"10.0.1.0"}'], UNLISTED),
    ('{"a":[{"prefix":{"equals-ignore-case":"x"}}]}', ['{"a":"Xy"}', '{"a":"y"}'], UNLISTED),
    ('{"a":[{"suffix":{"equals-ignore-case":"x"}}]}', ['{"a":"yX"}', '{"a":"y"}'], UNLISTED),
    ('{"a":[{"exactly":"x"}]}', ['{"a":"x"}', '{"a":"y"}'], UNLISTED),
    ('{"a":[{"wildcard":"x*"},"y"],"b":[1]}', ['{"a":"y","b":1}', '{"a":"y","b":2}'], None),
    # IP addresses, which Event Ruler recognises by itself.
    ('{"a":["10.0.0.1"]}', ['{"a":"10.0.0.1"}', '{"a":"10.0.0.2"}', '{"a":"10.0.0.10"}', '{"a":"x"}'], None),
    ('{"a":["10.0.0.1"]}', ['{"a":"010.0.0.1"}', '{"a":"10.0.0.01"}'], ADDRESS),
    ('{"a":["::1"]}', ['{"a":"::1"}', '{"a":"::2"}'], None),
    ('{"a":["::1"]}', ['{"a":"0:0:0:0:0:0:0:1"}'], ADDRESS),
    ('{"a":["12:30"]}', ['{"a":"12:30"}', '{"a":"12:31"}'], None),
    # Arrays: values of different elements do not belong together.
    ('{"a":{"b":[1],"c":[2]}}',
     ['{"a":[{"b":1,"c":2}]}', '{"a":[{"b":1},{"c":2}]}', '{"a":[{"b":1,"c":3},{"b":4,"c":2}]}',
      '{"a":[{"b":[1,9],"c":[8,2]}]}', '{"a":[[{"b":1}],[{"c":2}]]}', '{"a":[[{"b":1,"c":2}]]}', '{"a":[]}'], None),
    ('{"a":{"b":[1]},"c":{"d":[2]}}', ['{"a":[{"b":3},{"b":1}],"c":[{"d":2},{"d":3}]}', '{"a":[{"b":1}],"c":[{"d":3}]}'],
     None),
    ('{"a":{"b":{"c":[1]},"d":[2]}}',
     ['{"a":[{"b":[{"c":1}],"d":2}]}', '{"a":[{"b":[{"c":0},{"c":1}],"d":2},{"d":3}]}', '{"a":[{"b":[{"c":1}]},{"d":2}]}'],
     None),
    ('{"a":{"b":[{"exists":false}]}}', ['{"a":[{"c":1}]}'], None),
    ('{"a":{"b":[{"exists":false}],"c":[1]}}', ['{"a":[{"b":1},{"c":1}]}', '{"a":[{"b":1,"c":1}]}'], ABSENCE),
    # Names and objects.
    ('{"a":{"b":["x"]}}', ['{"a.b":"x"}'], DOTS),
    ('{"a.b":["x"]}', ['{"a":{"b":"x"}}'], DOTS),
    ('{"a":{"b":["x"]}}', ['{"a":{"b":"x"}}', '{"a":"x"}', '{"b":"x"}', '{"a":{"b":{"b":"x"}}}', '{"aa":{"b":"x"}}'], None),
    ('{"A":["x"]}', ['{"a":"x"}', '{"A":"x"}'], None),
    ('{"\\u0061":["x"]}', ['{"a":"x"}'], None),
    # DynamoDB's typed values.
    ('{"dynamodb":{"Keys":{"Id":{"N":["101"]}}}}',
     ['{"dynamodb":{"Keys":{"Id":{"N":"101"}}}}', '{"dynamodb":{"Keys":{"Id":{"S":"101"}}}}'], None),
    ('{"dynamodb":{"NewImage":{"Price":{"N":[{"numeric":[">",1]}]}}}}',
     ['{"dynamodb":{"NewImage":{"Price":{"N":"5"}}}}'], None),
    ('{"dynamodb":{"NewImage":{"Tags":{"L":{"S":["x"]}}}}}',
     ['{"dynamodb":{"NewImage":{"Tags":{"L":[{"S":"y"},{"S":"x"}]}}}}'], None),
    ('{"dynamodb":{"NewImage":{"Tags":{"SS":["x"]}}}}', ['{"dynamodb":{"NewImage":{"Tags":{"SS":["y","x"]}}}}'], None),
    ('{"dynamodb":{"NewImage":{"Tags":[{"exists":true}]}}}', ['{"dynamodb":{"NewImage":{"Tags":{"S":"x"}}}}'], None),
    ('{"eventName":["INSERT","MODIFY"]}', ['{"eventName":"INSERT"}', '{"eventName":"REMOVE"}'], None),
    ('{"userIdentity":{"type":["Service"]}}', ['{"userIdentity":{"type":"Service"}}', '{"eventName":"REMOVE"}'], None),
]

# Patterns that Event Ruler refuses. No mapping has them.
REFUSED = [
    "{}", "[]", '{"a":"x"}', '{"a":[]}', '{"a":{}}', '{"a":[["x"]]}', '{"a":[{"numeric":[]}]}', '{"a":[{}]}',
    '{"a":[{"numeric":["<",1,">",0]}]}', '{"a":[{"numeric":["=","1"]}]}', '{"a":[{"numeric":[">",1,"=",2]}]}',
    '{"a":[{"exists":"true"}]}', '{"a":[{"prefix":1}]}', '{"a":[{"anything-but":[]}]}', '{"a":[{"anything-but":null}]}',
    '{"a":[{"anything-but":["x",1]}]}', '{"a":[{"anything-but":{"prefix":""}}]}', '{"a":[{"prefix":"x","suffix":"y"}]}',
    '{"$or":[{"a":["x"]}]}', '{"$or":{"a":["x"]}}', '{"a":[{"equals-ignore-case":["x"]}]}',
    '{"$or":[{"prefix":["x"]},{"a":["x"]}]}', '{"a":[{"anything-but":[true]}]}',
]

SEED = 20261121
GENERATED = 600


def written():
    for pattern, events, why in WRITTEN:
        yield from ((pattern, event, why) for event in events)
    yield from ((pattern, '{"a":"x"}', "no mapping has it") for pattern in REFUSED)


def generated():
    """Pairs of a small vocabulary, so that about half of them match. Numbers are written in one way only."""
    draw = random.Random(SEED)
    names, texts, numbers = ["a", "b", "c"], ["", "x", "xy", "Xy", "yx", "é"], [-5, 0, 1.5, 2, 20]

    def scalar():
        return draw.choice([*texts, *numbers, None, True, False])

    def value(depth):
        kind = draw.random()
        if depth and kind < 0.35:
            return {name: value(depth - 1) for name in names if draw.random() < 0.7}
        if depth and kind < 0.55:
            return [value(depth - 1) for _ in range(draw.randrange(4))]
        return scalar()

    def rule():
        kind, ascii_texts = draw.randrange(9), [text for text in texts if text.isascii()]
        low, high = sorted(draw.sample(numbers, 2))
        return [
            scalar, scalar,
            lambda: {"prefix": draw.choice(texts)},
            lambda: {"suffix": draw.choice(texts)},
            lambda: {"exists": draw.random() < 0.7},
            lambda: {"numeric": draw.choice([[">", low], ["<=", high], [">=", low, "<", high], ["=", low]])},
            lambda: {"anything-but": draw.sample(draw.choice([texts, numbers]), draw.choice([1, 2]))},
            lambda: {"equals-ignore-case": draw.choice(ascii_texts)},
            lambda: {"anything-but": {draw.choice(["prefix", "suffix"]): draw.choice(ascii_texts[1:])}},
        ][kind]()

    def rules():
        return [rule() for _ in range(draw.choice([1, 1, 2, 3]))]

    def pattern(depth, some=names):
        chosen = draw.sample(some, draw.choice([1, 1, 2]) if len(some) > 1 else 1)
        fields = {name: pattern(depth - 1) if depth and draw.random() < 0.5 else rules() for name in chosen}
        others = [name for name in some if name not in chosen]
        if others and draw.random() < 0.25:
            fields["$or"] = [{draw.choice(others): rules()} for _ in range(draw.choice([2, 3]))]
        return fields

    for _ in range(GENERATED):
        event = {name: value(3) for name in names if draw.random() < 0.9}
        yield json.dumps(pattern(2), ensure_ascii=False), json.dumps(event, ensure_ascii=False), None
