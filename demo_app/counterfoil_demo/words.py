"""What the demo says, in both languages: one entry per sentence.

`{name}` is filled from the step's facts. Chinese follows the house's words
(shared by every screen): 你, short, verbs first, exact times.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

SENTENCES: Final[Mapping[str, Mapping[Language, str]]] = {
    "title": {"en": "Counterfoil · the half you keep", "zh": "Counterfoil · 存根"},
    "starting": {
        "en": "Starting five processes: {names}",
        "zh": "正在启动五个进程：{names}",
    },
    "faces": {"en": "Open in a browser:", "zh": "在浏览器中打开："},
    "face-phone": {"en": "the phone             {address}", "zh": "手机      {address}"},
    "face-counter": {"en": "the counter           {address}", "zh": "柜台      {address}"},
    "face-desk": {"en": "the brand's desk      {address}", "zh": "品牌后台  {address}"},
    "how-to-stop": {
        "en": "Ctrl-C stops everything; what was kept is there the next time",
        "zh": "按 Ctrl-C 全部停止；已保存的内容下次仍在",
    },
    "started-over": {
        "en": "Started over: the folder was emptied",
        "zh": "已重新开始：文件夹已清空",
    },
    "starting-faces": {
        "en": "Starting eight processes: {names}",
        "zh": "正在启动八个进程：{names}",
    },
    "kept-in": {"en": "Everything stays in {folder}", "zh": "所有数据保存在 {folder}"},
    "kept-nowhere": {
        "en": "Kept in a temporary folder, gone at the end (--data DIR keeps it)",
        "zh": "数据在临时文件夹中，结束即删除（用 --data DIR 保留）",
    },
    "step-a": {"en": "A purchase becomes credentials", "zh": "购买变成凭证"},
    "step-b": {"en": "The counter asks, the wallet shows", "zh": "柜台询问，钱包出示"},
    "step-c": {"en": "Returned, replayed, tampered, misdirected", "zh": "退货、重放、篡改、误投"},
    "step-d": {"en": "Granted, read, withdrawn, erased", "zh": "授权、读取、撤回、删除"},
    "step-e": {"en": "Points: earned, exchanged, redeemed", "zh": "积分：获得、兑换、使用"},
    "step-f": {"en": "What happened, and who holds what now", "zh": "发生了什么，谁持有什么"},
    "imported": {
        "en": "Auricle reads {file}: new orders {imported}, known before {unchanged}",
        "zh": "耳廓音响读取 {file}：新订单 {imported} 个，此前已有 {unchanged} 个",
    },
    "offered": {
        "en": "Order {order}: offers {credentials}; the code goes by another way",
        "zh": "订单 {order}：提供 {credentials}；验证码另行发送",
    },
    "already-issued": {
        "en": "Order {order}: offered before, {count} credentials issued; none again",
        "zh": "订单 {order}：此前已提供，已签发 {count} 张凭证，不再重复签发",
    },
    "accepted": {
        "en": "The wallet proves its key and holds {credentials}",
        "zh": "钱包证明持有密钥，现存 {credentials}",
    },
    "resumed": {
        "en": "The wallet first finished what had been interrupted (credentials: {count})",
        "zh": "钱包先完成了此前中断的操作（凭证 {count} 张）",
    },
    "asks": {"en": "{who} asks: {purpose}", "zh": "{who} 询问：{purpose}"},
    "not-verified": {
        "en": "Proved by a key; the name is not verified",
        "zh": "仅由密钥证明，名称未经核实",
    },
    "would-reveal": {"en": "Goes to them: {claims}", "zh": "给对方：{claims}"},
    "stays": {"en": "Stays with you: {claims}", "zh": "留在你这里：{claims}"},
    "shop-keeps": {
        "en": "Receipt, signed and right: {who} keeps the verdict until {until}",
        "zh": "回执已签名且相符：{who} 保留结论至 {until}",
    },
    "tells": {
        "en": "The counter waits for the digits on your phone: {digits}",
        "zh": "柜台等待你手机上的数字：{digits}",
    },
    "verdict": {
        "en": "{light} {word} · {facts} · verdict in {took_ms} ms",
        "zh": "{light} {word} · {facts} · 裁决用时 {took_ms} 毫秒",
    },
    "refused": {
        "en": "{light} {what}: {reason} ({code})",
        "zh": "{light} {what}：{reason}（{code}）",
    },
    "returned-before": {
        "en": "{product} was returned in an earlier run; the counter sees {other}",
        "zh": "{product} 已在此前运行中退货；柜台查看 {other}",
    },
    "revoked": {
        "en": "Auricle takes {product} back and revokes its warranty; the signed list changed",
        "zh": "耳廓音响收回 {product} 并撤销其保修；签名状态列表已更新",
    },
    "revoked-before": {
        "en": "{product} was taken back before; revoking again changes nothing",
        "zh": "{product} 此前已收回；再次撤销没有变化",
    },
    "same-proof": {"en": "the same proof again", "zh": "再次出示同一凭证"},
    "replayed": {"en": "an old answer sent again", "zh": "重放旧的应答"},
    "tampered": {"en": "an answer with one word changed", "zh": "篡改一处的应答"},
    "misdirected": {"en": "an answer made for another shop", "zh": "误投的应答（本来给另一家店）"},
    "terms": {
        "en": "{who} asks for two facts until {until}: {claims}",
        "zh": "{who} 想使用 2 项信息，至 {until}：{claims}",
    },
    "notice": {"en": "“{text}”", "zh": "“{text}”"},
    "notice-text": {
        "en": "We would like to know what you bought at Auricle and when, to offer you a fitting "
        "welcome. Nobody else receives it. You can end this at any time.",
        "zh": "我们想了解你在耳廓音响购买了什么、何时购买，以便为你准备合适的欢迎礼遇。"
        "不会提供给任何人。你可以随时终止。",
    },
    "left-in-force": {
        "en": "A grant that an interrupted run had left in force was withdrawn first",
        "zh": "先撤回了此前中断时仍有效的授权",
    },
    "granted": {
        "en": "Granted and sealed; {who} sent its signed receipt",
        "zh": "已授权并封存；{who} 已发回签名回执",
    },
    "read": {
        "en": "{who} reads under lease {n} of {most}: {facts}",
        "zh": "{who} 凭租约读取（第 {n} 次，共 {most} 次）：{facts}",
    },
    "withdrawn": {"en": "One tap: withdrawn, stopped at {at}", "zh": "一键撤回，{at} 起停止"},
    "read-refused": {
        "en": "{who} tries again: refused, the grant is over ({code})",
        "zh": "{who} 再次尝试：被拒绝，授权已终止（{code}）",
    },
    "bytes-closed": {
        "en": "A copy of all that {who} had, which opened before, stays closed; the key is gone",
        "zh": "{who} 全部文件的副本此前可以打开，现在打不开；密钥已不存在",
    },
    "receipt": {
        "en": "Erasure receipt {level} verifies: {meaning}",
        "zh": "删除回执 {level} 验证通过：{meaning}",
    },
    "level-E1": {"en": "signed by the brand", "zh": "品牌已签署"},
    "level-E2": {"en": "signed, and the key is destroyed", "zh": "已签署，密钥已销毁"},
    "level-E3": {"en": "everyone they passed it to confirmed", "zh": "所有接收方均已确认"},
    "honest": {
        "en": "Nobody can prove it was never written down.",
        "zh": "无法证明没有人抄录过。",
    },
    "points-off": {
        "en": "Points are switched off (--chain none); everything else works without them",
        "zh": "积分已关闭（--chain none）；其余功能不受影响",
    },
    "rate": {
        "en": "Both brands signed: {rate}",
        "zh": "双方品牌签署的比率：{rate}",
    },
    "awarded": {
        "en": "Auricle awards {amount} points for {order}, sent twice: {times}",
        "zh": "耳廓音响为 {order} 发放 {amount} 积分，发送两次：{times}",
    },
    "minted-once": {"en": "minted once", "zh": "只铸造一次"},
    "minted-before": {"en": "minted in an earlier run, not again", "zh": "此前已铸造，不再重复"},
    "exchanged": {
        "en": "Exchanged {paid} Auricle for {received} Velorum points",
        "zh": "用 {paid} 耳廓积分兑换 {received} 维洛积分",
    },
    "redeemed": {
        "en": "Redeemed {amount} Velorum points: voucher {voucher}",
        "zh": "使用 {amount} 维洛积分：兑换券 {voucher}",
    },
    "done-before": {
        "en": "Exchange and redemption of an earlier run sent again: nothing moved ({voucher})",
        "zh": "再次发送此前的兑换与使用请求：没有变动（{voucher}）",
    },
    "value": {
        "en": "All points were worth {before}, exchanged {between}, now {after}: no growth",
        "zh": "全部积分价值：之前 {before}，兑换后 {between}，现在 {after}，没有增加",
    },
    "history": {
        "en": "The wallet's history equals the chain's events ({count} movements)",
        "zh": "钱包历史与链上事件一致（{count} 笔）",
    },
    "head-what": {"en": "what", "zh": "事项"},
    "head-when": {"en": "took", "zh": "用时"},
    "looking": {
        "en": "Every file of every house was searched for what is yours.",
        "zh": "已在各方的每个文件中查找属于你的数据。",
    },
    "head-holds": {"en": "holds", "zh": "持有"},
    "head-found": {"en": "of yours", "zh": "你的数据"},
    "found-none": {"en": "none", "zh": "无"},
    "found-encrypted": {"en": "none readable (encrypted)", "zh": "无可读内容（已加密）"},
    "fact-name": {"en": "name", "zh": "姓名"},
    "fact-email": {"en": "e-mail", "zh": "邮箱"},
    "fact-order": {"en": "order", "zh": "订单号"},
    "fact-serial": {"en": "serials", "zh": "序列号"},
    "fact-product": {"en": "products", "zh": "商品"},
    "fact-time": {"en": "time", "zh": "购买时间"},
    "party-wallet": {"en": "your wallet", "zh": "你的钱包"},
    "party-auricle": {"en": "Auricle, audio maker", "zh": "耳廓音响"},
    "party-velorum": {"en": "Velorum, bicycle maker", "zh": "维洛单车"},
    "party-shop": {"en": "Quay Street Repairs", "zh": "码头街维修店"},
    "party-custodian": {"en": "custodian", "zh": "保管方"},
    "party-points": {"en": "points service", "zh": "积分服务"},
    "holds-wallet": {
        "en": "{credentials}; points: {points}",
        "zh": "{credentials}；积分：{points}",
    },
    "holds-auricle": {
        "en": "{orders} orders (tax law), {indices} status entries, {copies} copies of credentials",
        "zh": "{orders} 个订单（依税法），{indices} 个状态条目，{copies} 份凭证副本",
    },
    "holds-velorum": {
        "en": "{keys} keys to sealed data, a tombstone for each grant that ended",
        "zh": "{keys} 把封存数据的密钥，每个已结束的授权留有墓碑",
    },
    "holds-shop": {
        "en": "{verdicts} verdicts, each a code and a time",
        "zh": "{verdicts} 条结论，各含代码与时间",
    },
    "holds-custodian": {
        "en": "{keys} key shares, a tombstone for each that was destroyed",
        "zh": "{keys} 份密钥，每份已销毁的密钥留有墓碑",
    },
    "holds-points": {
        "en": "{accounts} accounts without names, {events} movements",
        "zh": "{accounts} 个匿名账户，{events} 笔变动",
    },
    "light-accepted": {"en": "In force", "zh": "在保"},
    "all-well": {
        "en": "Everything was as it must be ({seconds} s)",
        "zh": "一切符合预期（{seconds} 秒）",
    },
    "not-well": {
        "en": "Step {step} was not as it must be: {error}",
        "zh": "步骤 {step} 不符合预期：{error}",
    },
    "orders-broken": {
        "en": "To mend in {file}: {count}. Orders without a mistake were taken in whole.",
        "zh": "{file} 中需要修正：{count} 处。没有错误的订单已完整导入。",
    },
    "more-errors": {"en": "and {count} more", "zh": "另有 {count} 处"},
    "stopped": {
        "en": "Stopped. With --data DIR the same command goes on where this one was.",
        "zh": "已停止。使用 --data DIR 时，同一命令会从此处继续。",
    },
    "mend-and-resume": {
        "en": "Mend the file and run again (over the same folder with --data DIR).",
        "zh": "修正后再次运行（使用 --data DIR 时在同一文件夹继续）。",
    },
}


def sentence(key: str, language: Language, **facts: object) -> str:
    """Give one sentence with its facts filled in."""
    return SENTENCES[key][language].format(**facts)
