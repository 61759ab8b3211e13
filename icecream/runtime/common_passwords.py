"""Passwords that are guessed first (NIST SP 800-63B, 3.1.1.2), of at least eight characters.

They are the ones that lists of leaked passwords have in common, and words of this service.
"""

_WORDS = """
    00000000 0123456789 10203040 11111111 111222tianya 11223344 12121212 12312312 123123123
    123321123 12341234 1234512345 12345678 123456789 1234567890 1234567891 12345678910 123456789a
    123456abc 1234qwer 123654789 123qweasd 147258369 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qazxsw2
    22222222 33333333 44444444 55555555 66666666 741852963 77777777 789456123 87654321 88888888
    963852741 987654321 9876543210 99999999 a1234567 a12345678 aa123456 aa12345678 abc12345
    abc123456 abcd1234 abcdefgh abcdefghi access14 admin123 admin1234 admin12345 adminadmin
    administrator asdasdasd asdf1234 asdfasdf asdfghjk asdfghjkl baseball basketball blink182
    buster12 butterfly changeme changeme1 charlie1 chocolate christian computer computer1 corvette
    danielle darkness dearbook dragon12 einstein elephant facebook firebird fishing1 football
    football1 freedom1 g_czechout garfield gfhjkmrf googledummy hannibal hello123 icecream
    icecream1 icecream12 icecream123 iloveyou iloveyou1 internet jennifer jonathan jordan23
    kristina letmein1 letmein12 liverpool liverpool1 lovelove maverick mercedes michael1 michelle
    midnight mustang1 myspace1 nicholas p@ssw0rd p@ssword passw0rd password password1 password12
    password123 password1234 patricia princess princess1 q1w2e3r4 q1w2e3r4t5 qazwsxedc qqww1122
    qwe123456 qwer1234 qwerasdf qwerty12 qwerty123 qwerty1234 qwerty12345 qwertyui qwertyuiop
    rainbow1 raspberry samantha samsung1 scorpion secret123 slipknot spiderman starwars steelers
    strawberry sunshine sunshine1 superman superman1 test1234 testtest trustno1 vanilla1
    vanilla123 veronica victoria welcome1 welcome12 welcome123 wordpass xxxxxxxx yankees1 zaq12wsx
    zaq1zaq1 zxcvbnm1 zxcvbnm123
"""
COMMON_PASSWORDS = frozenset(_WORDS.split())
