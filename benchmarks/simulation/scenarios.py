"""The scenarios of `benchmarks/fleet.py`: a row of this table each."""

from __future__ import annotations

from benchmarks.simulation.world import CRON, FRAPPE_15, FRAPPE_60, FRAPPE_240, TIMER, Scenario, Trigger

HOUR = 3600.0
OUTAGE = (HOUR, 2 * HOUR)
# Everything is off for three minutes; then each node takes its time to boot.
RESTART = (HOUR, HOUR + 180)
BUSY = (HOUR, 1.5 * HOUR)
ONLY_TIMER, ONLY_CRON = ((TIMER,),), ((CRON,),)
BOTH = ((TIMER, FRAPPE_240),)
MIXED = ((TIMER,), (CRON,), (FRAPPE_60,), (FRAPPE_15,), (TIMER, FRAPPE_240), (CRON, FRAPPE_60))
D1_SECONDS = 0.005
# What no trigger of a node can do better: to tick once an interval, each node at a moment of its own.
IDEAL_60, IDEAL_300 = ((Trigger("timer"),),), ((Trigger("timer", 300.0),),)

SCENARIOS = (
	Scenario("timer-60", "the timer alone", hours=24),
	Scenario("timer-300", "the timer alone", 300, hours=24),
	Scenario("even-60", "the floor: phases drawn evenly over the interval", triggers=IDEAL_60, even=True),
	Scenario("even-300", "the floor: phases drawn evenly over the interval", 300, IDEAL_300, even=True),
	Scenario("cron-60", "cron alone", triggers=ONLY_CRON),
	Scenario("frappe-60", "Frappe 16 with a tick of 60 s", triggers=((FRAPPE_60,),)),
	Scenario("frappe-240", "Frappe 16 with its own tick of 240 s", triggers=((FRAPPE_240,),)),
	Scenario("frappe-15-60", "Frappe 15, whose tick no clock holds", triggers=((FRAPPE_15,),)),
	Scenario("timer-frappe-60", "the timer beside Frappe 16", triggers=BOTH),
	Scenario("timer-frappe-300", "the timer beside Frappe 16", 300, BOTH),
	Scenario("mixed-60", "a sixth each of six mixtures", triggers=MIXED, hours=24),
	Scenario("mixed-300", "a sixth each of six mixtures", 300, MIXED),
	Scenario("outage-60", "an hour without answers, the timer", outage=OUTAGE),
	Scenario("outage-300", "an hour without answers, the timer", 300, outage=OUTAGE),
	Scenario("outage-mixed-60", "an hour without answers, six mixtures", triggers=MIXED, outage=OUTAGE),
	Scenario("outage-mixed-300", "an hour without answers, six mixtures", 300, MIXED, OUTAGE),
	Scenario("restart-60", "every node off for 3 minutes, the timer", restart=RESTART),
	Scenario("restart-300", "every node off for 3 minutes, the timer", 300, restart=RESTART),
	Scenario("restart-mixed-300", "every node off for 3 minutes, six mixtures", 300, MIXED, restart=RESTART),
	Scenario("busy-60", "half an hour of 503 with Retry-After: 600, the timer", busy=BUSY),
	Scenario(
		"clocks-60",
		"clocks 30 s apart, 5 % set by up to 300 s, six mixtures",
		60,
		MIXED,
		clocks=30,
		stepping=0.05,
	),
	Scenario("clocks-300", "the same", 300, MIXED, clocks=30, stepping=0.05),
	Scenario("change-60", "counts that change every ten minutes, the timer", change_seconds=600),
	Scenario("change-300", "the same", 300, change_seconds=600),
	Scenario("flapping-300", "counts that change every five seconds, the timer", 300, change_seconds=5),
	Scenario("d1-60", "D1 takes 5 ms a push, the timer", service_seconds=D1_SECONDS),
	Scenario(
		"d1-outage-60", "the same, after an hour without answers", outage=OUTAGE, service_seconds=D1_SECONDS
	),
	Scenario(
		"d1-restart-60",
		"the same, after a restart of everything",
		restart=RESTART,
		service_seconds=D1_SECONDS,
	),
	Scenario(
		"d1-frappe-60",
		"the same, Frappe 16 with a tick of 60 s",
		triggers=((FRAPPE_60,),),
		service_seconds=D1_SECONDS,
	),
	Scenario("loss-60", "5 % of the requests are lost, the timer", loss=0.05),
	Scenario("loss-300", "5 % of the requests are lost, the timer", 300, loss=0.05),
)
