# SPDX-License-Identifier: MIT
"""The grader: one student's file, compiled, tried within bounds, and told what is wrong with it.

docs/teaching.md is its manual. grader.py holds it together; sandbox.py is where the student's code
runs.
"""
