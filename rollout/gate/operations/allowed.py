"""What the graph of a version may hold: the operations of TensorFlow 2.19.1 that only compute, by what they do.

Each group says why it is allowed. An operation that is in none of them is refused.
"""

from __future__ import annotations

from rollout.gate.operations.group import Group

ALLOWED = (
    Group(
        "constants and placeholders",
        "They hold what the graph or a request brings.",
        """
        Const ControlTrigger DeepCopy DeviceIndex Empty EnsureShape FakeParam Fill GuaranteeConst HostConst
        Identity IdentityN LinSpace NoOp OnesLike Placeholder PlaceholderV2 PlaceholderWithDefault PreventGradient
        Range RefIdentity Snapshot StopGradient Timestamp ZerosLike
        """,
    ),
    Group(
        "control flow",
        "They choose what is run; the functions that they name are looked into as well.",
        """
        Case Enter Exit For If LoopCond MapDefun Merge NextIteration PartitionedCall RefEnter RefExit RefMerge
        RefNextIteration RefSelect RefSwitch StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile
        Switch SymbolicGradient ToBool While
        """,
    ),
    Group(
        "messages and assertions",
        "They print to the server's log or fail a request. PrintV2 can write files: its stream is looked at.",
        """
        Assert CheckNumerics CheckNumericsV2 Print PrintV2
        """,
    ),
    Group(
        "summaries as texts",
        "They put numbers into the text of a summary. Those that write summaries are not among them.",
        """
        AudioSummary AudioSummaryV2 HistogramSummary ImageSummary MergeSummary ScalarSummary TensorSummary
        TensorSummaryV2
        """,
    ),
    Group(
        "variables",
        "They hold and change tensors of the session.",
        """
        Assign AssignAdd AssignAddVariableOp AssignSub AssignSubVariableOp AssignVariableOp CountUpTo
        DestroyResourceOp DestroyTemporaryVariable DisableCopyOnRead InplaceAdd InplaceSub InplaceUpdate
        IsVariableInitialized ParallelConcat ReadVariableOp ResourceCountUpTo ResourceGather ResourceGatherNd
        ResourceScatterAdd ResourceScatterDiv ResourceScatterMax ResourceScatterMin ResourceScatterMul
        ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub
        ResourceScatterNdUpdate ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign ScatterAdd
        ScatterDiv ScatterMax ScatterMin ScatterMul ScatterNdAdd ScatterNdMax ScatterNdMin ScatterNdSub
        ScatterNdUpdate ScatterSub ScatterUpdate StridedSliceAssign TemporaryVariable VarHandleOp
        VarIsInitializedOp Variable VariableShape VariableV2
        """,
    ),
    Group(
        "optimizers",
        "They change variables by gradients, in graphs that were saved with their training.",
        """
        ApplyAdaMax ApplyAdadelta ApplyAdagrad ApplyAdagradDA ApplyAdagradV2 ApplyAdam ApplyAddSign
        ApplyCenteredRMSProp ApplyFtrl ApplyFtrlV2 ApplyGradientDescent ApplyMomentum ApplyPowerSign
        ApplyProximalAdagrad ApplyProximalGradientDescent ApplyRMSProp ResourceApplyAdaMax ResourceApplyAdadelta
        ResourceApplyAdagrad ResourceApplyAdagradDA ResourceApplyAdagradV2 ResourceApplyAdam
        ResourceApplyAdamWithAmsgrad ResourceApplyAddSign ResourceApplyCenteredRMSProp ResourceApplyFtrl
        ResourceApplyFtrlV2 ResourceApplyGradientDescent ResourceApplyKerasMomentum ResourceApplyMomentum
        ResourceApplyPowerSign ResourceApplyProximalAdagrad ResourceApplyProximalGradientDescent
        ResourceApplyRMSProp ResourceSparseApplyAdadelta ResourceSparseApplyAdagrad ResourceSparseApplyAdagradDA
        ResourceSparseApplyAdagradV2 ResourceSparseApplyCenteredRMSProp ResourceSparseApplyFtrl
        ResourceSparseApplyFtrlV2 ResourceSparseApplyKerasMomentum ResourceSparseApplyMomentum
        ResourceSparseApplyProximalAdagrad ResourceSparseApplyProximalGradientDescent ResourceSparseApplyRMSProp
        SdcaFprint SdcaOptimizer SdcaOptimizerV2 SdcaShrinkL1 SparseApplyAdadelta SparseApplyAdagrad
        SparseApplyAdagradDA SparseApplyAdagradV2 SparseApplyCenteredRMSProp SparseApplyFtrl SparseApplyFtrlV2
        SparseApplyMomentum SparseApplyProximalAdagrad SparseApplyProximalGradientDescent SparseApplyRMSProp
        """,
    ),
    Group(
        "tables",
        "They look up keys. What fills a table from a file may only name an asset of the version.",
        """
        AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable
        AnonymousMutableHashTableOfTensors HashTable HashTableV2 InitializeTable InitializeTableFromDataset
        InitializeTableFromTextFile InitializeTableFromTextFileV2 InitializeTableV2 LookupTableExport
        LookupTableExportV2 LookupTableFind LookupTableFindV2 LookupTableImport LookupTableImportV2
        LookupTableInsert LookupTableInsertV2 LookupTableRemoveV2 LookupTableSize LookupTableSizeV2
        MutableDenseHashTable MutableDenseHashTableV2 MutableHashTable MutableHashTableOfTensors
        MutableHashTableOfTensorsV2 MutableHashTableV2
        """,
    ),
    Group(
        "checkpoints",
        "Every saver has them. Only the restore operation may reach one, and only for the version's own variables.",
        """
        MergeV2Checkpoints Restore RestoreSlice RestoreV2 Save SaveSlices SaveV2 ShardedFilename ShardedFilespec
        """,
    ),
    Group(
        "lists, arrays and maps of tensors",
        "They keep tensors within one run.",
        """
        CompositeTensorVariantFromComponents CompositeTensorVariantToComponents EmptyTensorList EmptyTensorMap
        OptionalFromValue OptionalGetValue OptionalHasValue OptionalNone Stack StackClose StackCloseV2 StackPop
        StackPopV2 StackPush StackPushV2 StackV2 TensorArray TensorArrayClose TensorArrayCloseV2
        TensorArrayCloseV3 TensorArrayConcat TensorArrayConcatV2 TensorArrayConcatV3 TensorArrayGather
        TensorArrayGatherV2 TensorArrayGatherV3 TensorArrayGrad TensorArrayGradV2 TensorArrayGradV3
        TensorArrayGradWithShape TensorArrayPack TensorArrayRead TensorArrayReadV2 TensorArrayReadV3
        TensorArrayScatter TensorArrayScatterV2 TensorArrayScatterV3 TensorArraySize TensorArraySizeV2
        TensorArraySizeV3 TensorArraySplit TensorArraySplitV2 TensorArraySplitV3 TensorArrayUnpack TensorArrayV2
        TensorArrayV3 TensorArrayWrite TensorArrayWriteV2 TensorArrayWriteV3 TensorListConcat
        TensorListConcatLists TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
        TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListPushBackBatch
        TensorListReserve TensorListResize TensorListScatter TensorListScatterIntoExistingList TensorListScatterV2
        TensorListSetItem TensorListSplit TensorListStack TensorMapErase TensorMapHasKey TensorMapInsert
        TensorMapLookup TensorMapSize TensorMapStackKeys
        """,
    ),
    Group(
        "datasets in memory",
        "They go through tensors. Those that read files, databases or services are not among them.",
        """
        AnonymousIterator AnonymousIteratorV2 AnonymousIteratorV3 AnonymousRandomSeedGenerator
        AnonymousSeedGenerator AssertCardinalityDataset BatchDataset BatchDatasetV2 CompressElement
        ComputeBatchSize ConcatenateDataset DatasetCardinality DatasetToSingleElement DeleteIterator
        DeleteRandomSeedGenerator DeleteSeedGenerator DenseToSparseBatchDataset DirectedInterleaveDataset
        DummyIterationCounter DummySeedGenerator FilterDataset FinalizeDataset FlatMapDataset
        GroupByReducerDataset GroupByWindowDataset IgnoreErrorsDataset InterleaveDataset Iterator IteratorGetNext
        IteratorGetNextAsOptional IteratorGetNextSync IteratorToStringHandle IteratorV2 MakeIterator
        MapAndBatchDataset MapDataset MaxIntraOpParallelismDataset ModelDataset OneShotIterator OptimizeDataset
        OptimizeDatasetV2 OptionsDataset PaddedBatchDataset PaddedBatchDatasetV2 ParallelBatchDataset
        ParallelFilterDataset ParallelInterleaveDataset ParallelInterleaveDatasetV2 ParallelInterleaveDatasetV3
        ParallelInterleaveDatasetV4 ParallelMapDataset ParallelMapDatasetV2 ParseExampleDataset
        ParseExampleDatasetV2 PrefetchDataset PrivateThreadPoolDataset RandomDataset RandomDatasetV2 RangeDataset
        RebatchDataset RebatchDatasetV2 ReduceDataset RepeatDataset SamplingDataset ScanDataset ShardDataset
        ShuffleAndRepeatDataset ShuffleAndRepeatDatasetV2 ShuffleDataset ShuffleDatasetV2 ShuffleDatasetV3
        SkipDataset SlidingWindowDataset SparseTensorSliceDataset TakeDataset TakeWhileDataset TensorDataset
        TensorSliceDataset UnbatchDataset UncompressElement UniqueDataset UnwrapDatasetVariant WindowDataset
        WindowOp WrapDatasetVariant ZipDataset
        """,
    ),
    Group(
        "random numbers",
        "They draw numbers. The sampler that can read its vocabulary from a file may not.",
        """
        AllCandidateSampler ComputeAccidentalHits FixedUnigramCandidateSampler KMC2ChainInitialization
        KmeansPlusPlusInitialization LearnedUnigramCandidateSampler LogUniformCandidateSampler Multinomial
        NonDeterministicInts ParameterizedTruncatedNormal RandomCrop RandomGamma RandomGammaGrad
        RandomIndexShuffle RandomPoisson RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform
        RandomUniformInt RngReadAndSkip RngSkip SampleDistortedBoundingBox SampleDistortedBoundingBoxV2
        SobolSample StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal
        StatefulUniform StatefulUniformFullInt StatefulUniformInt StatelessMultinomial
        StatelessParameterizedTruncatedNormal StatelessRandomBinomial StatelessRandomGammaV2
        StatelessRandomGammaV3 StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg
        StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform
        StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
        StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessSampleDistortedBoundingBox StatelessShuffle
        StatelessTruncatedNormal StatelessTruncatedNormalV2 StochasticCastToInt
        ThreadUnsafeUnigramCandidateSampler TruncatedNormal UniformCandidateSampler
        """,
    ),
    Group(
        "decoding and encoding",
        "They turn bytes into tensors and back. Those for protocol buffers may not name a descriptor file.",
        """
        DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeCompressed DecodeGif DecodeImage DecodeJpeg DecodePaddedRaw
        DecodePng DecodeProtoV2 DecodeRaw DecodeWav EncodeBase64 EncodeJpeg EncodeJpegVariableQuality EncodePng
        EncodeProto EncodeWav ExtractJpegShape
        """,
    ),
    Group(
        "parsing",
        "They turn records into tensors.",
        """
        DecodeCSV DecodeJSONExample ParseExample ParseExampleV2 ParseSequenceExample ParseSequenceExampleV2
        ParseSingleExample ParseSingleSequenceExample ParseTensor SerializeTensor
        """,
    ),
    Group(
        "texts",
        "They work on strings.",
        """
        AsString EditDistance Fingerprint ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch
        StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2
        StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper
        Substr UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode
        UnsortedSegmentJoin
        """,
    ),
    Group(
        "images",
        "They resize, colour, crop, draw and find boxes.",
        """
        AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
        CropAndResizeGradBoxes CropAndResizeGradImage DrawBoundingBoxes DrawBoundingBoxesV2 ExtractGlimpse
        ExtractGlimpseV2 ExtractImagePatches ExtractVolumePatches FusedResizeAndPadConv2D HSVToRGB
        ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppression NonMaxSuppressionV2
        NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps RGBToHSV
        ResizeArea ResizeBicubic ResizeBicubicGrad ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor
        ResizeNearestNeighborGrad ScaleAndTranslate ScaleAndTranslateGrad
        """,
    ),
    Group(
        "sound",
        "They work on spectra and signals.",
        """
        AudioMicrofrontend AudioSpectrogram FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND IRFFT IRFFT2D IRFFT3D
        IRFFTND Mfcc RFFT RFFT2D RFFT3D RFFTND
        """,
    ),
    Group(
        "convolution, pooling and normalisation",
        "They are the layers of networks, with their gradients.",
        """
        AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BatchNormWithGlobalNormalization
        BatchNormWithGlobalNormalizationGrad BiasAdd BiasAddGrad BiasAddV1 Conv Conv2D Conv2DBackpropFilter
        Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropFilter
        Conv3DBackpropFilterV2 Conv3DBackpropInput Conv3DBackpropInputV2 DataFormatDimMap DataFormatVecPermute
        DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dilation2D
        Dilation2DBackpropFilter Dilation2DBackpropInput FractionalAvgPool FractionalAvgPoolGrad FractionalMaxPool
        FractionalMaxPoolGrad FusedBatchNorm FusedBatchNormGrad FusedBatchNormGradV2 FusedBatchNormGradV3
        FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D LRN LRNGrad MaxPool MaxPool3D MaxPool3DGrad
        MaxPool3DGradGrad MaxPoolGrad MaxPoolGradGrad MaxPoolGradGradV2 MaxPoolGradGradWithArgmax MaxPoolGradV2
        MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax
        """,
    ),
    Group(
        "activations and losses",
        "They are applied to each element or row.",
        """
        CTCBeamSearchDecoder CTCGreedyDecoder CTCLoss Elu EluGrad InTopK InTopKV2 L2Loss LeakyRelu LeakyReluGrad
        LogSoftmax Relu Relu6 Relu6Grad ReluGrad Selu SeluGrad Sigmoid SigmoidGrad Softmax
        SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad
        SparseSoftmaxCrossEntropyWithLogits Tanh TanhGrad
        """,
    ),
    Group(
        "recurrent layers",
        "They are whole layers in one operation.",
        """
        BlockLSTM BlockLSTMGrad BlockLSTMGradV2 BlockLSTMV2 CudnnRNN CudnnRNNBackprop CudnnRNNBackpropV2
        CudnnRNNBackpropV3 CudnnRNNCanonicalToParams CudnnRNNCanonicalToParamsV2 CudnnRNNParamsSize
        CudnnRNNParamsToCanonical CudnnRNNParamsToCanonicalV2 CudnnRNNV2 CudnnRNNV3 GRUBlockCell GRUBlockCellGrad
        LSTMBlockCell LSTMBlockCellGrad
        """,
    ),
    Group(
        "quantised arithmetic",
        "It is arithmetic on small integers.",
        """
        Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxArgsGradient FakeQuantWithMinMaxVars
        FakeQuantWithMinMaxVarsGradient FakeQuantWithMinMaxVarsPerChannel
        FakeQuantWithMinMaxVarsPerChannelGradient QuantizeAndDequantize QuantizeAndDequantizeV2
        QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeAndDequantizeV4Grad QuantizeDownAndShrinkRange
        QuantizeV2 QuantizedAdd QuantizedAvgPool QuantizedBatchNormWithGlobalNormalization QuantizedBiasAdd
        QuantizedConcat QuantizedConcatV2 QuantizedConv2D QuantizedConv2DAndRelu
        QuantizedConv2DAndReluAndRequantize QuantizedConv2DAndRequantize QuantizedConv2DPerChannel
        QuantizedConv2DWithBias QuantizedConv2DWithBiasAndRelu QuantizedConv2DWithBiasAndReluAndRequantize
        QuantizedConv2DWithBiasAndRequantize QuantizedConv2DWithBiasSignedSumAndReluAndRequantize
        QuantizedConv2DWithBiasSumAndRelu QuantizedConv2DWithBiasSumAndReluAndRequantize QuantizedDepthwiseConv2D
        QuantizedDepthwiseConv2DWithBias QuantizedDepthwiseConv2DWithBiasAndRelu
        QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize QuantizedInstanceNorm QuantizedMatMul
        QuantizedMatMulWithBias QuantizedMatMulWithBiasAndDequantize QuantizedMatMulWithBiasAndRelu
        QuantizedMatMulWithBiasAndReluAndRequantize QuantizedMatMulWithBiasAndRequantize QuantizedMaxPool
        QuantizedMul QuantizedRelu QuantizedRelu6 QuantizedReshape QuantizedResizeBilinear RequantizationRange
        RequantizationRangePerChannel Requantize RequantizePerChannel UniformDequantize UniformQuantize
        UniformQuantizedAdd UniformQuantizedClipByValue UniformQuantizedConvolution
        UniformQuantizedConvolutionHybrid UniformQuantizedDot UniformQuantizedDotHybrid UniformRequantize
        """,
    ),
    Group(
        "ragged tensors",
        "They work on rows of different lengths.",
        """
        RaggedBincount RaggedCountSparseOutput RaggedCross RaggedFillEmptyRows RaggedFillEmptyRowsGrad
        RaggedGather RaggedRange RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor
        RaggedTensorToVariant RaggedTensorToVariantGradient
        """,
    ),
    Group(
        "sparse tensors and sets",
        "They work on indices and values.",
        """
        CSRSparseMatrixComponents CSRSparseMatrixToDense CSRSparseMatrixToSparseTensor DenseCountSparseOutput
        DenseToCSRSparseMatrix DenseToDenseSetOperation DenseToSparseSetOperation DeserializeManySparse
        DeserializeSparse SerializeManySparse SerializeSparse SetSize SparseAdd SparseAddGrad SparseBincount
        SparseConcat SparseCountSparseOutput SparseCross SparseCrossHashed SparseCrossV2 SparseDenseCwiseAdd
        SparseDenseCwiseDiv SparseDenseCwiseMul SparseFillEmptyRows SparseFillEmptyRowsGrad SparseMatMul
        SparseMatrixAdd SparseMatrixMatMul SparseMatrixMul SparseMatrixNNZ SparseMatrixOrderingAMD
        SparseMatrixSoftmax SparseMatrixSoftmaxGrad SparseMatrixSparseCholesky SparseMatrixSparseMatMul
        SparseMatrixTranspose SparseMatrixZeros SparseReduceMax SparseReduceMaxSparse SparseReduceSum
        SparseReduceSumSparse SparseReorder SparseReshape SparseSegmentMean SparseSegmentMeanGrad
        SparseSegmentMeanGradV2 SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNGrad
        SparseSegmentSqrtNGradV2 SparseSegmentSqrtNWithNumSegments SparseSegmentSum SparseSegmentSumGrad
        SparseSegmentSumGradV2 SparseSegmentSumWithNumSegments SparseSlice SparseSliceGrad SparseSoftmax
        SparseSparseMaximum SparseSparseMinimum SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul
        SparseTensorToCSRSparseMatrix SparseToDense SparseToSparseSetOperation
        """,
    ),
    Group(
        "linear algebra",
        "They work on matrices.",
        """
        BandedTriangularSolve BatchCholesky BatchCholeskyGrad BatchMatMul BatchMatMulV2 BatchMatMulV3
        BatchMatrixBandPart BatchMatrixDeterminant BatchMatrixDiag BatchMatrixDiagPart BatchMatrixInverse
        BatchMatrixSetDiag BatchMatrixSolve BatchMatrixSolveLs BatchMatrixTriangularSolve BatchSelfAdjointEig
        BatchSelfAdjointEigV2 BatchSvd Cholesky CholeskyGrad ConjugateTranspose Cross Diag DiagPart Eig Einsum
        LogMatrixDeterminant Lu MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2
        MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag
        MatrixSetDiagV2 MatrixSetDiagV3 MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Qr
        SelfAdjointEig SelfAdjointEigV2 Svd TridiagonalMatMul TridiagonalSolve
        """,
    ),
    Group(
        "comparison and logic",
        "They compare and choose elements.",
        """
        ApproximateEqual BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterEqual Invert IsFinite IsInf IsNan
        LeftShift Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual PopulationCount RightShift Select
        SelectV2 Where
        """,
    ),
    Group(
        "reductions, sorting and counting",
        "They go along axes.",
        """
        All Any ApproxTopK ArgMax ArgMin Bincount Bucketize Cumprod Cumsum CumulativeLogsumexp DenseBincount
        EuclideanNorm HistogramFixedWidth IsotonicRegression ListDiff LowerBound Max Mean Min NearestNeighbors
        NthElement Prod SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2
        SegmentSum SegmentSumV2 Sum TopK TopKV2 Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2
        UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound
        """,
    ),
    Group(
        "shapes and places",
        "They move elements and tell where they are.",
        """
        BatchToSpace BatchToSpaceND BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset ConcatV2
        DepthToSpace DynamicPartition DynamicStitch ExpandDims Gather GatherNd GatherV2 InvertPermutation
        MirrorPad MirrorPadGrad OneHot Pack Pad PadV2 ParallelDynamicStitch Rank Reshape Reverse ReverseSequence
        ReverseV2 Roll ScatterNd ScatterNdNonAliasingAdd Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND
        SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad TensorScatterAdd TensorScatterMax
        TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile TileGrad Transpose
        Unpack UnravelIndex
        """,
    ),
    Group(
        "elementwise arithmetic",
        "They work element by element.",
        """
        Abs AccumulateNV2 Acos Acosh Add AddN AddV2 Angle Asin Asinh Atan Atan2 Atanh BesselI0 BesselI0e BesselI1
        BesselI1e BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e BesselY0 BesselY1 Betainc Bitcast Cast
        Ceil ClipByValue Complex ComplexAbs Conj Cos Cosh Dawsn Digamma Div DivNoNan Erf Erfc Erfinv Exp Expint
        Expm1 Floor FloorDiv FloorMod FresnelCos FresnelSin Igamma IgammaGradA Igammac Imag Inv InvGrad Lgamma Log
        Log1p Maximum Minimum Mod Mul MulNoNan Ndtri Neg NextAfter Polygamma Pow Real RealDiv Reciprocal
        ReciprocalGrad Rint Round Rsqrt RsqrtGrad Sign Sin Sinh Spence Sqrt SqrtGrad Square SquaredDifference Sub
        Tan TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta
        """,
    ),
)
