"""The matrix: every fault, in the order of RESULTS.md."""

from __future__ import annotations

import faults_of_advice
import faults_of_answers
import faults_of_connections
import faults_of_counting
import faults_of_state
import faults_of_trust

FAULTS = [
	*faults_of_answers.FAULTS,
	*faults_of_connections.FAULTS,
	*faults_of_counting.FAULTS,
	*faults_of_state.FAULTS,
	*faults_of_trust.FAULTS,
	*faults_of_advice.FAULTS,
]
