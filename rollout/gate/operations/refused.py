"""What the graph of a version may not hold: every other operation of TensorFlow 2.19.1, by the reason that is given.

The list decides nothing, as what is not allowed is refused; it is there so that a refusal can say what an operation
does, and to tell those that TensorFlow has from those that it lacks.
"""

from __future__ import annotations

from rollout.gate.operations.group import Group

REFUSED = (
    Group(
        "files",
        "reads or writes files",
        """
        CalibrationStatisticsSaver CustomAggregator DTensorRestoreV2 DumpTensor FileSystemSetConfiguration
        FixedLengthRecordReader FixedLengthRecordReaderV2 GenerateVocabRemapping IdentityReader IdentityReaderV2
        ImmutableConst LMDBReader LoadAndRemapMatrix MatchingFiles NegTrain ReadFile ReaderNumRecordsProduced
        ReaderNumRecordsProducedV2 ReaderNumWorkUnitsCompleted ReaderNumWorkUnitsCompletedV2 ReaderRead
        ReaderReadUpTo ReaderReadUpToV2 ReaderReadV2 ReaderReset ReaderResetV2 ReaderRestoreState
        ReaderRestoreStateV2 ReaderSerializeState ReaderSerializeStateV2 RecordInput Skipgram TFRecordReader
        TFRecordReaderV2 TextLineReader TextLineReaderV2 WholeFileReader WholeFileReaderV2 WriteFile
        """,
    ),
    Group(
        "datasets of files",
        "reads or writes files, or asks a service for data",
        """
        AnonymousMemoryCache CSVDataset CSVDatasetV2 CacheDataset CacheDatasetV2 DataServiceDataset
        DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 DatasetFromGraph DatasetToGraph
        DatasetToGraphV2 DatasetToTFRecord DeleteMemoryCache DistributedSave DummyMemoryCache
        ExperimentalCSVDataset ExperimentalDatasetToTFRecord ExperimentalLMDBDataset
        ExperimentalMatchingFilesDataset ExperimentalSqlDataset FixedLengthRecordDataset
        FixedLengthRecordDatasetV2 LMDBDataset ListSnapshotChunksDataset LoadDataset MatchingFilesDataset
        RegisterDataset RegisterDatasetV2 SaveDataset SaveDatasetV2 SnapshotChunkDataset SnapshotDataset
        SnapshotDatasetReader SnapshotDatasetV2 SnapshotNestedDatasetReader SqlDataset TFRecordDataset
        TFRecordDatasetV2 TextLineDataset
        """,
    ),
    Group(
        "other machines",
        "opens connections, or sends tensors to other devices and machines",
        """
        CollectiveAllToAllV2 CollectiveAllToAllV3 CollectiveAssignGroupV2 CollectiveBcastRecv
        CollectiveBcastRecvV2 CollectiveBcastSend CollectiveBcastSendV2 CollectiveGather CollectiveGatherV2
        CollectiveInitializeCommunicator CollectivePermute CollectiveReduce CollectiveReduceScatterV2
        CollectiveReduceV2 CollectiveReduceV3 CopyToMesh CopyToMeshGrad DTensorAllGather DTensorAllReduce
        DTensorAllScatter DTensorAllToAll DTensorReduceScatter DTensorSetGlobalTPUArray DeleteRpcFutureResource
        NcclAllReduce NcclBroadcast NcclReduce Recv Relayout RelayoutLike RemoteCall RpcCall RpcCheckStatus
        RpcClient RpcGetValue RpcServer RpcServerRegister RpcServerStart Send WorkerHeartbeat _HostRecv _HostSend
        _NcclBroadcastRecv _NcclBroadcastSend _NcclReduceRecv _NcclReduceSend _Recv _Send
        """,
    ),
    Group(
        "Python",
        "calls back into the Python that made it, which no server can do",
        """
        EagerPyFunc PyFunc PyFuncStateless
        """,
    ),
    Group(
        "process",
        "ends or stalls the process",
        """
        Abort SleepDataset SleepIdentityOp SleepOp SyncDevice
        """,
    ),
    Group(
        "summaries",
        "writes summaries, which belong to training",
        """
        BytesProducedStatsDataset CloseSummaryWriter CreateSummaryDbWriter CreateSummaryFileWriter
        ExperimentalBytesProducedStatsDataset ExperimentalLatencyStatsDataset
        ExperimentalSetStatsAggregatorDataset ExperimentalStatsAggregatorHandle ExperimentalStatsAggregatorSummary
        FlushSummaryWriter ImportEvent IteratorGetModelProto LatencyStatsDataset SetStatsAggregatorDataset
        StatsAggregatorHandle StatsAggregatorHandleV2 StatsAggregatorSetSummaryWriter StatsAggregatorSummary
        SummaryWriter WriteAudioSummary WriteGraphSummary WriteHistogramSummary WriteImageSummary
        WriteRawProtoSummary WriteScalarSummary WriteSummary
        """,
    ),
    Group(
        "debugger",
        "copies what passes through it to a debugger's files and servers",
        """
        BoostedTreesExampleDebugOutputs Copy CopyHost DebugGradientIdentity DebugGradientRefIdentity DebugIdentity
        DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary DebugNumericSummaryV2
        """,
    ),
    Group(
        "TPU",
        "belongs to TPUs, which the server does not have",
        """
        AllToAll CollateTPUEmbeddingMemory ComputeDedupDataSize ComputeDedupDataSizeV2 ComputeDedupDataTupleMask
        ComputeDedupDataTupleMaskV2 ConfigureAndInitializeGlobalTPU ConfigureDistributedTPU ConfigureTPUEmbedding
        ConfigureTPUEmbeddingHost ConfigureTPUEmbeddingMemory ConnectTPUEmbeddingHosts ConvertToCooTensor
        ConvertToListOfSparseCoreCooTensors ConvertToSparseCoreCsrWrappedCooTensor CrossReplicaSum
        DynamicEnqueueTPUEmbeddingArbitraryTensorBatch DynamicEnqueueTPUEmbeddingRaggedTensorBatch
        EnqueueTPUEmbeddingArbitraryTensorBatch EnqueueTPUEmbeddingBatch EnqueueTPUEmbeddingIntegerBatch
        EnqueueTPUEmbeddingRaggedTensorBatch EnqueueTPUEmbeddingSparseBatch EnqueueTPUEmbeddingSparseTensorBatch
        ExecuteTPUEmbeddingPartitioner FinalizeTPUEmbedding FinalizeTPUEmbeddingV2
        GetMinibatchSplitsWithPhysicalReplica GetMinibatchesInCsrWithPhysicalReplica
        GetStatsFromListOfSparseCoreCooTensors GetTpuTaskId GlobalIterId InfeedDequeue InfeedDequeueTuple
        InfeedEnqueue InfeedEnqueuePrelinearizedBuffer InfeedEnqueueTuple IsTPUEmbeddingInitialized
        LoadAllTPUEmbeddingParameters LoadTPUEmbeddingADAMParameters LoadTPUEmbeddingAdadeltaParameters
        LoadTPUEmbeddingAdagradMomentumParameters LoadTPUEmbeddingAdagradParameters
        LoadTPUEmbeddingCenteredRMSPropParameters LoadTPUEmbeddingFTRLParameters
        LoadTPUEmbeddingFrequencyEstimatorParameters LoadTPUEmbeddingMDLAdagradLightParameters
        LoadTPUEmbeddingMomentumParameters LoadTPUEmbeddingProximalAdagradParameters
        LoadTPUEmbeddingProximalYogiParameters LoadTPUEmbeddingRMSPropParameters
        LoadTPUEmbeddingStochasticGradientDescentParameters MergeDedupData OutfeedDequeue OutfeedDequeueTuple
        OutfeedDequeueTupleV2 OutfeedDequeueV2 OutfeedEnqueue OutfeedEnqueueTuple Prelinearize PrelinearizeTuple
        RecvTPUEmbeddingActivations RetrieveAllTPUEmbeddingParameters RetrieveTPUEmbeddingADAMParameters
        RetrieveTPUEmbeddingAdadeltaParameters RetrieveTPUEmbeddingAdagradMomentumParameters
        RetrieveTPUEmbeddingAdagradParameters RetrieveTPUEmbeddingCenteredRMSPropParameters
        RetrieveTPUEmbeddingFTRLParameters RetrieveTPUEmbeddingFrequencyEstimatorParameters
        RetrieveTPUEmbeddingMDLAdagradLightParameters RetrieveTPUEmbeddingMomentumParameters
        RetrieveTPUEmbeddingProximalAdagradParameters RetrieveTPUEmbeddingProximalYogiParameters
        RetrieveTPUEmbeddingRMSPropParameters RetrieveTPUEmbeddingStochasticGradientDescentParameters
        SendTPUEmbeddingGradients ShutdownDistributedTPU ShutdownTPUSystem SortListOfSparseCoreCooTensors
        SplitDedupData StoreMinibatchStatisticsInFdo TPUAnnotateTensorsWithDynamicShape TPUCompilationResult
        TPUCompile TPUCompileSucceededAssert TPUCopyWithDynamicShape TPUEmbeddingActivations TPUExecute
        TPUExecuteAndUpdateVariables TPUOrdinalSelector TPUPartitionedCall TPUPartitionedInput
        TPUPartitionedInputV2 TPUPartitionedOutput TPUPartitionedOutputV2 TPUReplicateMetadata TPUReplicatedInput
        TPUReplicatedOutput TPUReshardVariables TPURoundRobin TpuHandleToProtoKey XlaRecvTPUEmbeddingActivations
        XlaRecvTPUEmbeddingActivationsV2 XlaRecvTPUEmbeddingDeduplicationData
        XlaRecvTPUEmbeddingDeduplicationDataV2 XlaSendTPUEmbeddingGradients XlaSendTPUEmbeddingGradientsV2
        XlaSparseCoreAdagrad XlaSparseCoreAdagradMomentum XlaSparseCoreAdam XlaSparseCoreFtrl XlaSparseCoreSgd
        _ConfigureDistributedTPU _DisconnectHostFromDistributedTPUSystem _InitializeHostForDistributedTPU
        _SetGlobalTPUArray _ShutdownDistributedTPU _TPUCompileMlir _TPUReplicate _WaitForDistributedTPU
        """,
    ),
    Group(
        "XLA",
        "is a program for XLA, or a part of one, that cannot be looked into here",
        """
        AssignVariableXlaConcatND MlirPassthroughOp ReadVariableXlaSplitND RiscAbs RiscAdd RiscBinaryArithmetic
        RiscBinaryComparison RiscBitcast RiscBroadcast RiscCast RiscCeil RiscCholesky RiscConcat RiscCondition
        RiscConv RiscCos RiscDiv RiscDot RiscExp RiscFft RiscFloor RiscGather RiscImag RiscIsFinite RiscLog
        RiscLogicalAnd RiscLogicalNot RiscLogicalOr RiscMax RiscMin RiscMul RiscNeg RiscPad RiscPool RiscPow
        RiscRandomUniform RiscReal RiscReduce RiscRem RiscReshape RiscReverse RiscScatter RiscShape RiscSign
        RiscSlice RiscSort RiscSqueeze RiscSub RiscTranspose RiscTriangularSolve RiscUnary RiscWhile XlaAllReduce
        XlaBroadcastHelper XlaCallModule XlaClusterOutput XlaConcatND XlaConv XlaConvV2 XlaCustomCall
        XlaCustomCallV2 XlaDequantize XlaDot XlaDotV2 XlaDynamicSlice XlaDynamicUpdateSlice XlaEinsum XlaGather
        XlaHostCompute XlaIf XlaKeyValueSort XlaLaunch XlaLaunchV2 XlaOptimizationBarrier XlaPad XlaRecv
        XlaRecvFromHost XlaReduce XlaReducePrecision XlaReduceScatter XlaReduceWindow
        XlaRemoveDynamicDimensionSize XlaReplicaId XlaRngBitGenerator XlaScatter XlaSelectAndScatter
        XlaSelfAdjointEig XlaSend XlaSendToHost XlaSetBound XlaSetDynamicDimensionSize XlaSharding XlaSort
        XlaSparseDenseMatmul XlaSparseDenseMatmulGradWithAdagradAndCsrInput
        XlaSparseDenseMatmulGradWithAdagradAndStaticBufferSize
        XlaSparseDenseMatmulGradWithAdagradMomentumAndCsrInput
        XlaSparseDenseMatmulGradWithAdagradMomentumAndStaticBufferSize XlaSparseDenseMatmulGradWithAdamAndCsrInput
        XlaSparseDenseMatmulGradWithAdamAndStaticBufferSize XlaSparseDenseMatmulGradWithCsrInput
        XlaSparseDenseMatmulGradWithFtrlAndCsrInput XlaSparseDenseMatmulGradWithFtrlAndStaticBufferSize
        XlaSparseDenseMatmulGradWithSgdAndCsrInput XlaSparseDenseMatmulGradWithSgdAndStaticBufferSize
        XlaSparseDenseMatmulWithCsrInput XlaSparseDenseMatmulWithStaticBufferSize XlaSplitND
        XlaSpmdFullToShardShape XlaSpmdShardToFullShape XlaSvd XlaVariadicReduce XlaVariadicReduceV2
        XlaVariadicSort XlaWhile _XlaAotOnlyVarHandleOp _XlaCompile _XlaCompileMlirPlaceholderProgramKey
        _XlaHostComputeMlir _XlaMerge _XlaRecvAtHost _XlaRecvAtHostV2 _XlaRun _XlaSendFromHost _XlaSendFromHostV2
        """,
    ),
    Group(
        "waiting",
        "keeps requests waiting for each other, or keeps their tensors for others",
        """
        AccumulatorApplyGradient AccumulatorNumAccumulated AccumulatorSetGlobalStep AccumulatorTakeGradient
        AddManySparseToTensorsMap AddSparseToTensorsMap Barrier BarrierClose BarrierIncompleteSize
        BarrierInsertMany BarrierReadySize BarrierTakeMany Batch BatchFunction ConditionalAccumulator
        ConsumeMutexLock DeleteSessionTensor FIFOQueue FIFOQueueV2 FakeQueue GetSessionHandle GetSessionHandleV2
        GetSessionTensor MapClear MapIncompleteSize MapPeek MapSize MapStage MapUnstage MapUnstageNoKey MutexLock
        MutexV2 OrderedMapClear OrderedMapIncompleteSize OrderedMapPeek OrderedMapSize OrderedMapStage
        OrderedMapUnstage OrderedMapUnstageNoKey PaddingFIFOQueue PaddingFIFOQueueV2 PriorityQueue PriorityQueueV2
        QueueClose QueueCloseV2 QueueDequeue QueueDequeueMany QueueDequeueManyV2 QueueDequeueUpTo
        QueueDequeueUpToV2 QueueDequeueV2 QueueEnqueue QueueEnqueueMany QueueEnqueueManyV2 QueueEnqueueV2
        QueueIsClosed QueueIsClosedV2 QueueSize QueueSizeV2 RandomShuffleQueue RandomShuffleQueueV2
        ResourceAccumulatorApplyGradient ResourceAccumulatorNumAccumulated ResourceAccumulatorSetGlobalStep
        ResourceAccumulatorTakeGradient ResourceConditionalAccumulator SparseAccumulatorApplyGradient
        SparseAccumulatorTakeGradient SparseConditionalAccumulator Stage StageClear StagePeek StageSize
        TakeManySparseFromTensorsMap Unbatch UnbatchGrad Unstage
        """,
    ),
    Group(
        "internal",
        "is put into a graph by TensorFlow itself while it runs it; no SavedModel holds one",
        """
        _Arg _ArrayToList _DeviceArg _DeviceRetval _EagerConst _FusedBatchNormEx _FusedBatchNormGradEx
        _FusedConv2D _FusedConv3D _FusedDepthwiseConv2dNative _FusedMatMul _FusedQuantizedConv2D
        _FusedQuantizedDepthwiseConv2D _HostCast _If _ListToArray _MklAvgPool _MklAvgPool3D _MklAvgPool3DGrad
        _MklAvgPoolGrad _MklBatchMatMul _MklBatchMatMulV2 _MklConcat _MklConcatV2 _MklConjugateTranspose
        _MklConv2D _MklConv2DBackpropFilter _MklConv2DBackpropFilterWithBias _MklConv2DBackpropInput
        _MklConv2DWithBias _MklConv3D _MklConv3DBackpropFilterV2 _MklConv3DBackpropInputV2
        _MklDepthwiseConv2dNative _MklDepthwiseConv2dNativeBackpropFilter _MklDepthwiseConv2dNativeBackpropInput
        _MklDequantize _MklEinsum _MklElu _MklEluGrad _MklFusedBatchMatMulV2 _MklFusedBatchNorm
        _MklFusedBatchNormEx _MklFusedBatchNormGrad _MklFusedBatchNormGradV2 _MklFusedBatchNormGradV3
        _MklFusedBatchNormV2 _MklFusedBatchNormV3 _MklFusedConv2D _MklFusedDepthwiseConv2dNative
        _MklFusedInstanceNorm _MklFusedMatMul _MklFusedMish _MklLayerNorm _MklLeakyRelu _MklLeakyReluGrad
        _MklMatMul _MklMaxPool _MklMaxPool3D _MklMaxPool3DGrad _MklMaxPoolGrad _MklNativeAvgPool
        _MklNativeAvgPool3D _MklNativeAvgPool3DGrad _MklNativeAvgPoolGrad _MklNativeConv2D
        _MklNativeConv2DBackpropFilter _MklNativeConv2DBackpropFilterWithBias _MklNativeConv2DBackpropInput
        _MklNativeConv2DWithBias _MklNativeConv3D _MklNativeConv3DBackpropFilterV2 _MklNativeConv3DBackpropInputV2
        _MklNativeDepthwiseConv2dNative _MklNativeDepthwiseConv2dNativeBackpropFilter
        _MklNativeDepthwiseConv2dNativeBackpropInput _MklNativeFusedBatchNorm _MklNativeFusedBatchNormEx
        _MklNativeFusedBatchNormGrad _MklNativeFusedBatchNormGradV2 _MklNativeFusedBatchNormGradV3
        _MklNativeFusedBatchNormV2 _MklNativeFusedBatchNormV3 _MklNativeFusedConv2D _MklNativeFusedConv3D
        _MklNativeFusedDepthwiseConv2dNative _MklNativeFusedMatMul _MklNativeMaxPool _MklNativeMaxPool3D
        _MklNativeMaxPool3DGrad _MklNativeMaxPoolGrad _MklNativePadWithConv2D _MklNativePadWithFusedConv2D
        _MklNativeSparseMatrixMatMul _MklPadWithConv2D _MklPadWithFusedConv2D _MklQuantizeV2 _MklQuantizedAvgPool
        _MklQuantizedConcatV2 _MklQuantizedConv2D _MklQuantizedConv2DAndRelu
        _MklQuantizedConv2DAndReluAndRequantize _MklQuantizedConv2DAndRequantize _MklQuantizedConv2DPerChannel
        _MklQuantizedConv2DWithBias _MklQuantizedConv2DWithBiasAndRelu
        _MklQuantizedConv2DWithBiasAndReluAndRequantize _MklQuantizedConv2DWithBiasAndRequantize
        _MklQuantizedConv2DWithBiasSignedSumAndReluAndRequantize _MklQuantizedConv2DWithBiasSumAndRelu
        _MklQuantizedConv2DWithBiasSumAndReluAndRequantize _MklQuantizedDepthwiseConv2D
        _MklQuantizedDepthwiseConv2DWithBias _MklQuantizedDepthwiseConv2DWithBiasAndRelu
        _MklQuantizedDepthwiseConv2DWithBiasAndReluAndRequantize _MklQuantizedMatMulWithBias
        _MklQuantizedMatMulWithBiasAndDequantize _MklQuantizedMatMulWithBiasAndRelu
        _MklQuantizedMatMulWithBiasAndReluAndRequantize _MklQuantizedMatMulWithBiasAndRequantize
        _MklQuantizedMaxPool _MklRelu _MklRelu6 _MklRelu6Grad _MklReluGrad _MklSoftmax _MklSwish _MklTanh
        _MklTanhGrad _MklTranspose _ParallelConcatStart _ParallelConcatUpdate _QuantizedMatMul _QuantizedMaxPool3D
        _ReadVariablesOp _Retval _ScopedAllocator _ScopedAllocatorConcat _ScopedAllocatorSplit _SwitchN
        _TensorToHashBucketFast _UnaryOpsComposition _VarHandlesOp _While __MklDummyConv2DBackpropFilterWithBias
        __MklDummyConv2DWithBias __MklDummyPadWithConv2D __MklDummyPadWithFusedConv2D
        """,
    ),
    Group(
        "tests",
        "was made for TensorFlow's own tests",
        """
        A Attr AttrBool AttrBoolList AttrDefault AttrEmptyListDefault AttrEnum AttrEnumList AttrFloat
        AttrListDefault AttrListMin AttrListTypeDefault AttrMin AttrPartialShape AttrPartialShapeList AttrShape
        AttrShapeList AttrTypeDefault B Binary CheckPinned ComplexStruct ConstructionFails CopyOp DefaultAttrs
        DevicePlacementOp DtypeWithDefaultOp Fact FiveFloatOutputs FloatInput FloatOutput FloatOutputStringOutput
        Foo1 Foo2 Foo3 FuncAttr FuncListAttr GetDeadline GetElementAtIndex GetOptions GraphDefVersion
        InPolymorphicTwice Int64Output IntAttr IntInput IntInputFloatInput IntInputIntOutput IntOutput
        IntOutputFloatOutput IsResourceHandleRefCounting IsTensorFloat32Enabled KernelLabel KernelLabelRequired
        ListInput ListOutput MakeWeakResourceHandle MixedStruct NInPolymorphicTwice NInTwice NInTwoTypeVariables
        NIntsIn NIntsOut NIntsOutDefault NPolymorphicIn NPolymorphicOut NPolymorphicOutDefault
        NPolymorphicRestrictIn NPolymorphicRestrictOut Namespace>TestStringOutput None Old OpWithDefaultAttr
        OpWithFutureDefaultAttr OutT OutTypeList OutTypeListRestrict Polymorphic PolymorphicDefaultOut
        PolymorphicOut RefIn RefInputFloatInput RefInputFloatInputIntOutput RefInputIntInput RefOut RefOutput
        RefOutputFloatOutput RequiresOlderGraphVersion ReservedAttr ReservedInput ResourceCreateOp
        ResourceInitializedOp ResourceUsingOp Restrict Simple SimpleStruct StringListAttr StubResourceHandleOp
        TestAttr TestStringOutput TwoFloatInputs TwoFloatInputsFloatOutput TwoFloatInputsIntOutput TwoFloatOutputs
        TwoIntInputs TwoIntOutputs TwoRefsIn TypeList TypeListRestrict TypeListTwice Unary
        UpdateTaskIdAndGlobalCoreArray
        """,
    ),
    Group(
        "no kernel",
        "has no kernel any more, so no server can run it",
        """
        BatchFFT BatchFFT2D BatchFFT3D BatchIFFT BatchIFFT2D BatchIFFT3D BoostedTreesAggregateStats
        BoostedTreesBucketize BoostedTreesCalculateBestFeatureSplit BoostedTreesCalculateBestFeatureSplitV2
        BoostedTreesCalculateBestGainsPerFeature BoostedTreesCenterBias BoostedTreesCreateEnsemble
        BoostedTreesCreateQuantileStreamResource BoostedTreesDeserializeEnsemble
        BoostedTreesEnsembleResourceHandleOp BoostedTreesFlushQuantileSummaries BoostedTreesGetEnsembleStates
        BoostedTreesMakeQuantileSummaries BoostedTreesMakeStatsSummary BoostedTreesPredict
        BoostedTreesQuantileStreamResourceAddSummaries BoostedTreesQuantileStreamResourceDeserialize
        BoostedTreesQuantileStreamResourceFlush BoostedTreesQuantileStreamResourceGetBucketBoundaries
        BoostedTreesQuantileStreamResourceHandleOp BoostedTreesSerializeEnsemble BoostedTreesSparseAggregateStats
        BoostedTreesSparseCalculateBestFeatureSplit BoostedTreesTrainingPredict BoostedTreesUpdateEnsemble
        BoostedTreesUpdateEnsembleV2 CTCLossV2 GenerateBoundingBoxProposals IsBoostedTreesEnsembleInitialized
        IsBoostedTreesQuantileStreamResourceInitialized KthOrderStatistic MakeUnique QuantizedReluX TopKUnique
        TopKWithUnique
        """,
    ),
    Group(
        "input of training",
        "belongs to the input of a training",
        """
        AnonymousMultiDeviceIterator AnonymousMultiDeviceIteratorV3 AssertNextDataset AssertPrevDataset
        AutoShardDataset ChooseFastestBranchDataset ChooseFastestDataset DatasetFingerprint
        DeleteMultiDeviceIterator DeserializeIterator ExperimentalAssertNextDataset ExperimentalAutoShardDataset
        ExperimentalChooseFastestDataset ExperimentalDatasetCardinality ExperimentalDenseToSparseBatchDataset
        ExperimentalDirectedInterleaveDataset ExperimentalGroupByReducerDataset ExperimentalGroupByWindowDataset
        ExperimentalIgnoreErrorsDataset ExperimentalIteratorGetDevice ExperimentalMapAndBatchDataset
        ExperimentalMapDataset ExperimentalMaxIntraOpParallelismDataset ExperimentalNonSerializableDataset
        ExperimentalParallelInterleaveDataset ExperimentalParseExampleDataset ExperimentalPrivateThreadPoolDataset
        ExperimentalRandomDataset ExperimentalRebatchDataset ExperimentalScanDataset ExperimentalSleepDataset
        ExperimentalSlidingWindowDataset ExperimentalTakeWhileDataset ExperimentalThreadPoolDataset
        ExperimentalThreadPoolHandle ExperimentalUnbatchDataset ExperimentalUniqueDataset
        FilterByLastComponentDataset GeneratorDataset GlobalShuffleDataset IndexFlatMapDataset
        IteratorFromStringHandle IteratorFromStringHandleV2 IteratorGetDevice LegacyParallelInterleaveDatasetV2
        ListDataset MultiDeviceIterator MultiDeviceIteratorFromStringHandle MultiDeviceIteratorGetNextFromShard
        MultiDeviceIteratorInit MultiDeviceIteratorToStringHandle NonSerializableDataset RewriteDataset
        SerializeIterator ThreadPoolDataset ThreadPoolHandle WeightedFlatMapDataset
        """,
    ),
)
